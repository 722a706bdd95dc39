#pragma once
// Answers for programs: `--xml`, `--json` and `--dom` in PowerMTA's layouts.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice::control {

/// The layouts.
enum class TreeFormat : std::uint8_t { Xml, Json, Dom };

/// A node with named children in order, or a value. A name that add_item() was used with is a list: its nodes
/// repeat in XML, stand in an array in JSON and have numbers in DOM ("queue[0].name"). Thread: one.
class Tree {
 public:
  /// A branch. References to nodes hold as long as the tree.
  Tree& add(std::string_view name) { return append(name, false); }
  /// Items of one name are added one behind the other.
  Tree& add_item(std::string_view name) { return append(name, true); }
  void add_text(std::string_view name, std::string_view text) {
    append(name, false).value_ = std::string(text);
  }
  void add_number(std::string_view name, std::uint64_t number) { append(name, false).value_ = number; }
  /// true and false in JSON; 1 and 0 elsewhere.
  void add_flag(std::string_view name, bool flag) { append(name, false).value_ = flag; }

  /// `<rsp><data>...</data><succ/></rsp>`.
  [[nodiscard]] std::string xml() const;
  /// `{"data":{...},"status":"success","message":""}`.
  [[nodiscard]] std::string json() const;
  /// `path.to.value="text"` a line; quotes inside stay as they are.
  [[nodiscard]] std::string dom() const;

  /// The same frames around a text, and around an error.
  [[nodiscard]] static std::string xml_text(std::string_view text, bool ok);
  [[nodiscard]] static std::string json_text(std::string_view text, bool ok);

  [[nodiscard]] bool empty() const { return children_.empty(); }

 private:
  friend class TreeStream;
  Tree& append(std::string_view name, bool item) {
    Tree& child = *children_.emplace_back(std::make_unique<Tree>());
    child.name_ = name;
    child.item_ = item;
    return child;
  }
  void append_xml(std::string& out) const;
  void append_json(std::string& out) const;
  void append_dom(std::string& out, const std::string& path) const;
  std::string name_;
  bool item_ = false;
  std::variant<std::monostate, std::string, std::uint64_t, bool> value_;  // monostate: a branch
  std::vector<std::unique_ptr<Tree>> children_;
};

/// Writes a tree that is too long to be held: its root's children come a few at a time, as children of small trees.
/// What it has written is what Tree would have. Thread: one.
class TreeStream {
 public:
  explicit TreeStream(TreeFormat format) : format_(format) {}
  void begin(std::string& out) const;
  /// The children of `part` are the next ones of the root; items of one name stand together.
  void add(std::string& out, const Tree& part);
  void end(std::string& out) const;

 private:
  void add_json(std::string& out, const Tree& child);
  TreeFormat format_;
  bool first_ = true;
  std::string item_;        // name of the last child when it was an item
  std::size_t number_ = 0;  // of that item, from 0
};

}  // namespace sluice::control

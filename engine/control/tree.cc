#include "engine/control/tree.h"

#include "policy/base/json_text.h"

namespace sluice::control {
namespace {

void append_escaped_xml(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (byte >= 0x20 || c == '\n' || c == '\t') {
      out += c;
    } else {
      out += '?';  // XML 1.0 has no way to write the others
    }
  }
}

}  // namespace

void Tree::append_xml(std::string& out) const {
  if (const auto* text = std::get_if<std::string>(&value_)) return append_escaped_xml(out, *text);
  if (const auto* number = std::get_if<std::uint64_t>(&value_)) {
    out += std::to_string(*number);
    return;
  }
  if (const bool* flag = std::get_if<bool>(&value_)) {
    out += *flag ? '1' : '0';
    return;
  }
  for (const auto& child : children_) {
    out += '<' + child->name_ + '>';
    child->append_xml(out);
    out += "</" + child->name_ + '>';
  }
}

void Tree::append_json(std::string& out) const {
  if (const auto* text = std::get_if<std::string>(&value_)) return append_json_string(out, *text);
  if (const auto* number = std::get_if<std::uint64_t>(&value_)) {
    out += std::to_string(*number);
    return;
  }
  if (const bool* flag = std::get_if<bool>(&value_)) {
    out += *flag ? "true" : "false";
    return;
  }
  out += '{';
  for (std::size_t i = 0; i < children_.size(); ++i) {
    const Tree& child = *children_[i];
    if (i > 0) out += ',';
    append_json_string(out, child.name_);
    out += ':';
    if (!child.item_) {
      child.append_json(out);
      continue;
    }
    out += '[';
    child.append_json(out);
    while (i + 1 < children_.size() && children_[i + 1]->item_ && children_[i + 1]->name_ == child.name_) {
      out += ',';
      children_[++i]->append_json(out);
    }
    out += ']';
  }
  out += '}';
}

void Tree::append_dom(std::string& out, const std::string& path) const {
  if (children_.empty()) {
    if (std::holds_alternative<std::monostate>(value_)) return;
    out += path + "=\"";
    if (const auto* text = std::get_if<std::string>(&value_)) {
      out += *text;
    } else if (const auto* number = std::get_if<std::uint64_t>(&value_)) {
      out += std::to_string(*number);
    } else {
      out += std::get<bool>(value_) ? '1' : '0';
    }
    out += "\"\n";
    return;
  }
  const std::string prefix = path.empty() ? "" : path + '.';
  std::size_t number = 0;
  for (std::size_t i = 0; i < children_.size(); ++i) {
    const Tree& child = *children_[i];
    number = i > 0 && child.item_ && children_[i - 1]->name_ == child.name_ ? number + 1 : 0;
    child.append_dom(
        out, prefix + child.name_ + (child.item_ ? '[' + std::to_string(number) + ']' : std::string()));
  }
}

void TreeStream::begin(std::string& out) const {
  if (format_ == TreeFormat::Xml) out += "<rsp><data>";
  if (format_ == TreeFormat::Json) out += "{\"data\":{";
}

void TreeStream::add(std::string& out, const Tree& part) {
  for (const auto& child : part.children_) {
    const bool again = child->item_ && !first_ && item_ == child->name_;
    number_ = again ? number_ + 1 : 0;
    switch (format_) {
      case TreeFormat::Xml:
        out += '<' + child->name_ + '>';
        child->append_xml(out);
        out += "</" + child->name_ + '>';
        break;
      case TreeFormat::Json: add_json(out, *child); break;
      case TreeFormat::Dom:
        child->append_dom(
            out, child->name_ + (child->item_ ? '[' + std::to_string(number_) + ']' : std::string()));
        break;
    }
    first_ = false;
    item_ = child->item_ ? child->name_ : std::string();
  }
}

/// An array stays open until something else comes.
void TreeStream::add_json(std::string& out, const Tree& child) {
  if (number_ > 0) {
    out += ',';
    return child.append_json(out);
  }
  if (!item_.empty()) out += ']';
  if (!first_) out += ',';
  append_json_string(out, child.name_);
  out += child.item_ ? ":[" : ":";
  child.append_json(out);
}

void TreeStream::end(std::string& out) const {
  if (format_ == TreeFormat::Xml) out += "</data><succ/></rsp>\n";
  if (format_ != TreeFormat::Json) return;
  if (!item_.empty()) out += ']';
  out += "},\"status\":\"success\",\"message\":\"\"}\n";
}

std::string Tree::xml() const {
  std::string out = "<rsp><data>";
  append_xml(out);
  return out + "</data><succ/></rsp>\n";
}

std::string Tree::json() const {
  std::string out = "{\"data\":";
  append_json(out);
  return out + ",\"status\":\"success\",\"message\":\"\"}\n";
}

std::string Tree::dom() const {
  std::string out;
  append_dom(out, "");
  return out;
}

std::string Tree::xml_text(std::string_view text, bool ok) {
  std::string out = ok ? "<rsp><data>" : "<rsp><error>";
  append_escaped_xml(out, text);
  return out + (ok ? "</data><succ/></rsp>\n" : "</error></rsp>\n");
}

std::string Tree::json_text(std::string_view text, bool ok) {
  std::string out = "{\"data\":";
  append_json_string(out, ok ? text : "");
  out += ok ? ",\"status\":\"success\",\"message\":" : ",\"status\":\"error\",\"message\":";
  append_json_string(out, ok ? "" : text);
  return out + "}\n";
}

}  // namespace sluice::control

#include "policy/accounting/record_layout.h"

#include <algorithm>

#include "policy/accounting/csv.h"
#include "policy/base/ascii.h"

namespace sluice::accounting {
namespace {

/// The words behind `record-fields` for `type`: all lines together, "*" written out, "!x" taken away.
std::vector<std::string> words_of(const config::AcctFile& spec, RecordType type) {
  std::vector<std::string> plain, removed;
  bool listed = false;
  const auto add_defaults = [&plain, type] {
    for (std::string_view rest = default_fields(type); !rest.empty();) {
      const std::size_t end = std::min(rest.find(','), rest.size());
      plain.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  };
  for (const config::RecordFields& line : spec.record_fields) {
    if (line.type != type) continue;
    for (const std::string& word : line.fields) {
      if (word.starts_with('!')) {
        removed.push_back(word.substr(1));
        continue;
      }
      listed = true;
      if (word == "*") {
        add_defaults();
      } else {
        plain.push_back(word);
      }
    }
  }
  // Only exclusions: they exclude from the default.
  if (!listed) add_defaults();
  std::erase_if(plain, [&removed](const std::string& word) {
    return std::any_of(removed.begin(), removed.end(),
                       [&word](const std::string& out) { return iequals(word, out); });
  });
  return plain;
}

}  // namespace

std::expected<RecordLayout, RecordLayout::Error> RecordLayout::make(const config::AcctFile& spec) {
  RecordLayout out;
  for (const RecordType type : spec.records) out.types_.add(type);
  out.columns_.push_back({{FieldKind::Type, {}}, out.types_, {}});
  for (const RecordType type : types_in_header_order()) {
    if (!out.types_.has(type)) continue;
    if (auto added = out.add_type(spec, type); !added) return std::unexpected(std::move(added.error()));
  }
  for (const config::HeaderToField& mapping : spec.map_header_to_field) {
    if (auto added = out.add_mapping(mapping); !added) return std::unexpected(std::move(added.error()));
  }
  for (const Column& one : out.columns_) {
    if (!out.header_row_.empty()) out.header_row_ += ',';
    append_cell(out.header_row_, text_of(one.field));
  }
  out.header_row_ += "\r\n";
  return out;
}

std::expected<void, RecordLayout::Error> RecordLayout::add_type(const config::AcctFile& spec,
                                                                RecordType type) {
  for (const std::string& word : words_of(spec, type)) {
    const auto field = parse_field(word);
    if (!field) return std::unexpected(Error{"no such accounting field: " + word});
    if (field->kind == FieldKind::Type) continue;  // always there
    if (!is_available(field->kind, type)) {
      warnings_.push_back("records of type " + std::string(config::short_name(type)) + " never have " + word);
    }
    Column& to = column(*field);
    if (columns_.size() > kColumnsMax) return std::unexpected(Error{"too many accounting fields"});
    if (is_available(field->kind, type)) to.types.add(type);
  }
  return {};
}

std::expected<void, RecordLayout::Error> RecordLayout::add_mapping(const config::HeaderToField& mapping) {
  if (mapping.type == RecordType::TransientQueue) {
    return std::unexpected(Error{"map-header-to-field: tq records belong to no message"});
  }
  const auto field = parse_field(mapping.field);
  if (!field || field->kind == FieldKind::Type) {
    return std::unexpected(Error{"map-header-to-field: no such accounting field: " + mapping.field});
  }
  if (!types_.has(mapping.type)) return {};
  Column& to = column(*field);
  if (columns_.size() > kColumnsMax) return std::unexpected(Error{"too many accounting fields"});
  to.types.add(mapping.type);
  to.mapped.push_back({mapping.type, mapping.header});
  return {};
}

RecordLayout::Column& RecordLayout::column(const Field& field) {
  const auto same = std::find_if(columns_.begin(), columns_.end(),
                                 [&field](const Column& one) { return one.field == field; });
  if (same != columns_.end()) return *same;
  return columns_.emplace_back(Column{field, {}, {}});
}

std::vector<std::string> RecordLayout::headers_needed(RecordType type) const {
  std::vector<std::string> out;
  const auto add = [&out](const std::string& name) {
    const bool known = std::any_of(out.begin(), out.end(),
                                   [&name](const std::string& other) { return iequals(name, other); });
    if (!known) out.push_back(name);
  };
  for (const Column& one : columns_) {
    if (one.field.kind == FieldKind::Header && one.types.has(type)) add(one.field.name);
    for (const Column::Mapped& mapped : one.mapped) {
      if (mapped.type == type) add(mapped.header);
    }
  }
  return out;
}

}  // namespace sluice::accounting

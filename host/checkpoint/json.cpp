#include "host/checkpoint/json.hpp"

#include <limits>
#include <utility>
#include <vector>

#include "host/check/sentence.hpp"

namespace onepass::checkpoint {
namespace {

constexpr std::size_t kDeepest = 16;

/// A long text of a file does not fill a sentence.
std::string shortened(const std::string& text) {
  constexpr std::size_t kLongest = 200;
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

/// Takes down what a parser reads, and refuses deep nesting and keys that an object has twice. Json::parse()
/// with a callback would do too, but after each object it searches the one around it: a header of many
/// tensors would take quadratic time.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const std::string& what) : what_(what) {}

  [[nodiscard]] Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return false; }
  bool start_object(std::size_t /*members*/) override { return open(Json::object()); }
  bool start_array(std::size_t /*elements*/) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    const auto [member, is_new] = open_.back()->emplace(name, nullptr);
    if (!is_new) refuse_content(what_ + " has the key " + onepass::quoted(shortened(name)) + " twice");
    member_ = &*member;
    return true;
  }
  bool parse_error(std::size_t /*place*/, const std::string& /*token*/,
                   const Json::exception& error) override {
    refuse_content(what_ + " is no JSON: " + shortened(error.what()));
  }

 private:
  bool add(Json value) {
    (void)place(std::move(value));
    return true;
  }
  /// Puts a value where the text has it. Its address is valid until the list around it gets another element.
  Json* place(Json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (open_.back()->is_object()) return &(*member_ = std::move(value));
    open_.back()->push_back(std::move(value));
    return &open_.back()->back();
  }
  bool open(Json container) {
    if (open_.size() >= kDeepest) {
      refuse_content(what_ + " is nested deeper than " + std::to_string(kDeepest) + " times");
    }
    open_.push_back(place(std::move(container)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& what_;
  Json root_;
  std::vector<Json*> open_;  ///< The objects and lists around the present place.
  Json* member_ = nullptr;   ///< The member of the innermost object whose value comes next.
};

}  // namespace

void refuse_content(const std::string& sentence) { throw InvalidArgument("onepass: " + sentence); }

Json parse(std::string_view text, const std::string& what) {
  Builder builder(what);
  (void)Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

std::string json_string(const std::string& text) {
  try {
    return Json(text).dump();
  } catch (const nlohmann::json::exception&) {
    refuse_content(onepass::quoted(text) + " cannot be saved, because it is no UTF-8");
  }
}

Fields::Fields(const Json& value, std::string place) : object_(value), place_(std::move(place)) {
  if (!value.is_object()) refuse_content(place_ + " must be an object, but is of type " + value.type_name());
}

std::string Fields::place_of(std::string_view name) const { return place_ + "." + std::string(name); }

const Json& Fields::take(const char* name) {
  const auto found = object_.find(name);
  if (found == object_.end()) refuse_content(place_ + " lacks " + onepass::quoted(name));
  ++taken_;
  return *found;
}

const Json& Fields::take(const char* name, bool (Json::*is)() const noexcept, const char* wanted) {
  const Json& value = take(name);
  if (!(value.*is)()) {
    refuse_content(place_of(name) + " must be " + wanted + ", but is of type " + value.type_name());
  }
  return value;
}

std::int64_t Fields::whole(const char* name) { return whole_number(take(name), place_of(name)); }

std::uint64_t Fields::natural(const char* name) {
  return take(name, &Json::is_number_unsigned, "a whole number from 0 to 2^64 - 1").get<std::uint64_t>();
}

double Fields::number(const char* name) { return take(name, &Json::is_number, "a number").get<double>(); }

bool Fields::flag(const char* name) { return take(name, &Json::is_boolean, "true or false").get<bool>(); }

std::string Fields::text(const char* name) {
  return take(name, &Json::is_string, "a text").get_ref<const std::string&>();
}

const Json& Fields::list(const char* name) { return take(name, &Json::is_array, "a list"); }

void Fields::finish() const {
  if (taken_ != object_.size()) {
    refuse_content(place_ + " has " + std::to_string(object_.size()) + " members, but this version knows " +
                   std::to_string(taken_) + " of them");
  }
}

std::int64_t whole_number(const Json& value, const std::string& place) {
  if (!value.is_number_integer()) {
    refuse_content(place + " must be a whole number, but is of type " + value.type_name());
  }
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > kMost) {
    refuse_content(place + " must be below 2^63, but is " + std::to_string(value.get<std::uint64_t>()));
  }
  return value.get<std::int64_t>();
}

}  // namespace onepass::checkpoint

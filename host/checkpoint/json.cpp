#include "host/checkpoint/json.hpp"

#include <functional>
#include <limits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "host/check/sentence.hpp"

namespace onepass::checkpoint {
namespace {

constexpr int kDeepest = 16;

/// A long text of a file does not fill a sentence.
std::string shortened(const std::string& text) {
  constexpr std::size_t kLongest = 200;
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

/// Refuses what a parser of JSON would take: deep nesting, and keys that an object has twice.
class Strict {
 public:
  explicit Strict(const std::string& what) : what_(what) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    using enum Json::parse_event_t;
    if (event == object_start || event == array_start) {
      if (depth >= kDeepest) {
        refuse_content(what_ + " is nested deeper than " + std::to_string(kDeepest) + " times");
      }
      if (event == object_start) keys_.emplace_back();
    } else if (event == object_end) {
      keys_.pop_back();
    } else if (event == key) {
      const std::string& name = parsed.get_ref<const std::string&>();
      if (!keys_.back().insert(name).second)
        refuse_content(what_ + " has the key " + onepass::quoted(shortened(name)) + " twice");
    }
    return true;
  }

 private:
  const std::string& what_;
  std::vector<std::unordered_set<std::string>> keys_;  ///< Of the objects around the present place.
};

}  // namespace

void refuse_content(const std::string& sentence) { throw InvalidArgument("onepass: " + sentence); }

Json parse(std::string_view text, const std::string& what) {
  try {
    Strict strict(what);
    return Json::parse(text.begin(), text.end(), std::ref(strict));
  } catch (const nlohmann::json::exception& error) {
    refuse_content(what + " is no JSON: " + shortened(error.what()));
  }
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

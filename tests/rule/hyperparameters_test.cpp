// hyperparameters_test.cpp - each rule's list of hyperparameters has all its members, each once and with its
// own name.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/backend/rule_ops.hpp"
#include "onepass/onepass.hpp"
#include "reference/all_references.hpp"

namespace onepass::test {
namespace {

using Kind = Hyperparameter::Kind;

struct AnyMember {
  template <class T>
  operator T() const;  // NOLINT: implicit
};

template <class R, std::size_t... kIndex>
constexpr bool takes(std::index_sequence<kIndex...> /*members*/) {
  return requires { R{(static_cast<void>(kIndex), AnyMember{})...}; };
}

/// Number of members of a struct without constructors, at most 40: the most values that its braces take.
template <class R, std::size_t kMost = 40>
constexpr std::size_t member_count() {
  if constexpr (kMost == 0 || takes<R>(std::make_index_sequence<kMost>{})) {
    return kMost;
  } else {
    return member_count<R, kMost - 1>();
  }
}

struct TwoMembers {
  double first;
  bool second;
};
static_assert(member_count<TwoMembers>() == 2);

template <class R>
void expect_complete_list() {
  const Rule rule = R{};
  std::set<std::string_view> names;
  std::set<std::size_t> offsets;
  for (const Hyperparameter& one : rule.hyperparameters()) {
    EXPECT_TRUE(names.insert(one.name).second) << one.name << " is listed twice";
    EXPECT_TRUE(offsets.insert(one.offset).second) << one.name << " is another name of a member";
  }
  EXPECT_EQ(names.size(), member_count<R>()) << R::kName << "::describe() leaves members out";
}

TEST(Hyperparameters, ListNamesEveryMemberOnce) {
#define EXPECT_COMPLETE_LIST(Name) expect_complete_list<Name>();
  FOR_EACH_RULE(EXPECT_COMPLETE_LIST)
#undef EXPECT_COMPLETE_LIST
}

/// Returns values in range, the rule's own value not among them.
std::vector<double> other_values(const Rule& rule, const Hyperparameter& one) {
  std::vector<double> values{0.0, 1.0};
  if (one.kind == Kind::number) {
    values = {0.0, 0.25, 1.0 / 3.0, 0.1, 1e-45, 3e-320, 123456.789, 3e38, -0.5};
    std::erase_if(values, [&](double value) { return !one.range.contains(value); });
  }
  for (std::size_t i = 2; i < one.choices.size(); ++i) values.push_back(static_cast<double>(i));
  std::erase(values, rule.get(one.name));
  return values;
}

std::size_t size_of(Kind kind) {
  return kind == Kind::number ? sizeof(double) : kind == Kind::flag ? sizeof(bool) : sizeof(unsigned);
}

TEST(Hyperparameters, SettingOneChangesItsMemberAlone) {
  for (const Rule& given : library_rules()) {
    for (const Hyperparameter& one : given.hyperparameters()) {
      SCOPED_TRACE(std::string(given.name()) + "." + one.name);
      ASSERT_LE(one.offset + size_of(one.kind), given.ops().rule_bytes);
      const std::vector<double> values = other_values(given, one);
      EXPECT_FALSE(values.empty());
      for (const double value : values) {
        Rule rule = given;
        rule.set(one.name, value);
        EXPECT_EQ(rule.get(one.name), value);
        EXPECT_NE(rule, given);
        for (std::size_t byte = 0; byte < Rule::kMostBytes; ++byte) {
          if (byte >= one.offset && byte < one.offset + size_of(one.kind)) continue;
          ASSERT_EQ(rule.bytes()[byte], given.bytes()[byte]) << "byte " << byte;
        }
        rule.set(one.name, given.get(one.name));
        EXPECT_EQ(rule, given);
      }
    }
  }
}

TEST(Hyperparameters, TextReadsBackAsTheSameValue) {
  for (const Rule& given : library_rules()) {
    for (const Hyperparameter& one : given.hyperparameters()) {
      Rule copy = given;
      copy.set_text(one.name, given.text(one.name));
      EXPECT_EQ(copy, given) << one.name;
      for (const double value : other_values(given, one)) {
        Rule rule = given;
        rule.set(one.name, value);
        const std::string text = rule.text(one.name);
        if (one.kind == Kind::choice) {
          EXPECT_EQ(text, one.choices[static_cast<std::size_t>(value)]);
        }
        copy.set_text(one.name, text);
        EXPECT_EQ(copy.get(one.name), value) << one.name << " = " << text;
        EXPECT_EQ(copy, rule);
      }
    }
  }
}

TEST(Hyperparameters, FlagsAreAlsoReadAsOneAndZero) {
  Rule rule = Adam{};
  rule.set_text("amsgrad", "1");
  EXPECT_EQ(rule.text("amsgrad"), "true");
  rule.set_text("amsgrad", "0");
  EXPECT_EQ(rule.text("amsgrad"), "false");
}

TEST(Hyperparameters, EveryOneIsDescribed) {
  for (const Rule& rule : library_rules()) {
    for (const Hyperparameter& one : rule.hyperparameters()) {
      SCOPED_TRACE(std::string(rule.name()) + "." + one.name);
      EXPECT_TRUE(std::string_view(one.meaning).ends_with("."));
      EXPECT_EQ(one.kind == Kind::choice, one.choices.size() >= 2);
      EXPECT_EQ(std::set<std::string_view>(one.choices.begin(), one.choices.end()).size(),
                one.choices.size());
      if (one.kind != Kind::number) continue;
      EXPECT_NE(std::string_view(one.range.interval), "");
      EXPECT_NE(std::string_view(one.range.must), "");
    }
  }
}

TEST(Hyperparameters, LrIsTheFirstAndTheSharedOnesAreTheLast) {
  constexpr std::array kShared{"weight_decay", "weight_decay_mode", "l1", "l1_mode", "maximize"};
  for (const Rule& rule : library_rules()) {
    std::vector<std::string> names;
    for (const Hyperparameter& one : rule.hyperparameters()) names.emplace_back(one.name);
    EXPECT_EQ(names.front(), "lr") << rule.name();
    ASSERT_GT(names.size(), kShared.size());
    EXPECT_TRUE(std::equal(kShared.begin(), kShared.end(), names.end() - kShared.size())) << rule.name();
  }
}

TEST(Hyperparameters, DefaultsAreInRange) {
  for (const Rule& rule : library_rules()) EXPECT_NO_THROW(rule.check()) << rule.name();
}

}  // namespace
}  // namespace onepass::test

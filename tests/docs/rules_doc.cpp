// rules_doc.cpp - writes docs/rules.md, or compares it, from the library's rules and the comments of their
// headers.
//
//   onepass_rules_doc docs/rules.md            compares; exits 1 if the page is another
//   onepass_rules_doc --write docs/rules.md    writes the page
//
// CMake defines ONEPASS_INCLUDE, the folder of public headers, and ONEPASS_RULE_HEADERS, the header of each
// of library_rules() in their order.
#include <algorithm>
#include <bit>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <ranges>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "host/backend/rule_ops.hpp"
#include "onepass/onepass.hpp"

namespace {

using namespace onepass;
using Kind = Hyperparameter::Kind;

constexpr const char* kBeginning =
    R"(<!-- Written by onepass_rules_doc. A test compares this page; do not edit it. -->
# Rules

This page lists the optimizers of the library: formula, source and deviations from it, hyperparameters, presets,
states. The text of a rule is the comment of its header in `include/onepass/optimizers/`, and the tables come from the
rule itself: its lists of hyperparameters (`describe()`) and presets (`presets()`), and its variants.
[Adding an optimizer](adding-an-optimizer.md) says how to write one.

"bytes" are those that a step moves for each parameter in float32: 12 for the parameter and its gradient, and 8 for each
state of the elements. [Other formats](storage.md) move fewer. A rule with one pass reads and writes each of them once.
A further pass reads some of them before, for sums over the tensor, or over rows and columns, which are 4 bytes for each
of these. States of rows and columns are few, and not counted.

)";

constexpr const char* kOfEveryRule = R"(
## Every rule

A hyperparameter is a member of the rule's struct. It has the same name in `Rule::set()` and `Rule::get()`, in the C
interface and Python, and in state dicts; the trainer's option spells it with hyphens (`--weight-decay`). A choice is an
enumerator in C++ and has the same name as text. Numbers must be finite in float32, and so must the coefficients that a
step computes from them, such as `lr / (1 - beta1^t)`.

All rules have the following hyperparameters. The table of each rule has their defaults, and
[regularisation](regularization.md) has more about them.

| hyperparameter | range | meaning |
|---|---|---|
)";

constexpr const char* kStates = R"(
The hyperparameters of a parameter group select its states when the optimizer is made. All states start at 0. The last
table of a rule lists its sets of states, each with an example of hyperparameters that select it. Later, a group refuses
hyperparameters that need other states, but a momentum may become 0 and return. Where the table speaks of matrices, a
parameter with a shape of two dimensions or more (`Parameter::shape`) has states of its rows and columns.

A rule may have presets: the settings of another implementation of it, where these differ or where the name helps. A
table of the rule lists them, and a test holds each to its implementation or to its formula. In C++ a preset is a
function of the struct, `LAMB::nvlamb()`. `LAMB.nvlamb` is its name for `Rule::named()`, the C interface and Python's
`onepass.Optimizer`; `onepass.torch.LAMB` takes `preset="nvlamb"`, and the trainer `--optimizer lamb.nvlamb`. Any
setting may be changed afterwards.
)";

/// Names of the hyperparameters that every rule has besides lr.
struct SharedNames {
  std::set<std::string_view> names;

  SharedNames() { rule::describe_shared<SGD>(*this); }
  void operator()(const char* name, auto&&... /*member, range, meaning*/) { names.insert(name); }
};

bool is_shared(const Hyperparameter& one) {
  static const SharedNames shared;
  return shared.names.contains(one.name);
}

std::string code(std::string_view text) { return std::string("`").append(text).append("`"); }

/// Joins names as code: `exp_avg`, `exp_avg_sq`.
template <class Names>
std::string codes(const Names& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + code(name);
  return text;
}

/// Returns text in which no bar ends a cell of a table.
std::string cell(std::string_view text) {
  std::string escaped;
  for (const char letter : text) escaped += letter == '|' ? std::string("\\|") : std::string(1, letter);
  return escaped;
}

std::string range_of(const Hyperparameter& one) {
  if (one.kind == Kind::number) return one.range.interval;
  if (one.kind == Kind::choice) return codes(one.choices);
  return "`true`, `false`";
}

/// The header of a rule.
class Header {
 public:
  explicit Header(const std::string& name) : name_(name) {
    std::ifstream file(std::string(ONEPASS_INCLUDE) + "/" + name);
    for (std::string line; std::getline(file, line);) lines_.push_back(line);
    if (lines_.empty()) throw std::runtime_error(name + " cannot be read");
  }

  /// Returns the first sentence of the comment at the top, behind the file's name.
  [[nodiscard]] std::string summary() const {
    std::string comment;
    for (const std::string& line : lines_) {
      if (!line.starts_with("// ")) break;
      if (!comment.empty()) comment += ' ';
      comment.append(line, 3);
    }
    const std::size_t dash = comment.find(" - ");
    if (dash == std::string::npos)
      throw std::runtime_error(name_ + " does not begin with // FILE - SENTENCE");
    std::string sentence = comment.substr(dash + 3);
    sentence = sentence.substr(0, sentence.find(". "));
    if (!sentence.ends_with('.')) sentence += '.';
    if (sentence[0] >= 'a' && sentence[0] <= 'z') sentence[0] = static_cast<char>(sentence[0] - 'a' + 'A');
    return sentence;
  }

  /// Returns the comment of a struct, without the slashes.
  [[nodiscard]] std::string comment_of(std::string_view type) const {
    const auto found = std::ranges::find(lines_, "struct " + std::string(type) + " {");
    auto first = found;
    while (first != lines_.begin() && std::prev(first)->starts_with("///")) --first;
    if (first == found) throw std::runtime_error(name_ + " has no comment above struct " + std::string(type));
    std::string comment;
    for (; first != found; ++first) comment += first->size() > 3 ? first->substr(4) + '\n' : "\n";
    return comment;
  }

  /// Returns what the comment of a struct says after "Use: ", in one line.
  [[nodiscard]] std::string use_of(std::string_view type) const {
    const std::string comment = comment_of(type), word = "Use: ";
    const std::size_t found = comment.find(word);
    if (found == std::string::npos)
      throw std::runtime_error(name_ + " does not say what to use the rule for");
    const std::size_t first = found + word.size();
    std::string use = comment.substr(first, comment.find("\n\n", first) - first);
    if (use.ends_with('\n')) use.pop_back();
    std::ranges::replace(use, '\n', ' ');
    return use;
  }

  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::vector<std::string> lines_;
};

std::vector<Header> headers_of_rules() {
  std::vector<Header> headers;
  std::istringstream names(ONEPASS_RULE_HEADERS);
  for (std::string name; names >> name;) headers.emplace_back(name);
  if (headers.size() != library_rules().size()) throw std::runtime_error("a rule has no header");
  return headers;
}

/// Finds changes of a rule's defaults that select its variants.
class Selections {
 public:
  explicit Selections(const Rule& rule) {
    constexpr int kMostChanges = 4;
    // The shape of a parameter, not a hyperparameter, selects a variant for matrices.
    const std::size_t selected = rule.ops().variants.size() / (rule.ops().matrix_bit == 0 ? 1 : 2);
    for (int changes = 0; changes <= kMostChanges && by_variant_.size() < selected; ++changes) {
      search(rule, 0, changes, "");
    }
  }

  [[nodiscard]] std::string of(unsigned variant) const {
    const auto found = by_variant_.find(variant);
    if (found == by_variant_.end()) return "other hyperparameters";
    return found->second.empty() ? "the defaults" : found->second;
  }

 private:
  /// Tries all combinations of `changes` more hyperparameters, from number `from` on.
  void search(const Rule& rule, std::size_t from, int changes, const std::string& text) {
    if (changes == 0) {
      if (is_valid(rule)) by_variant_.emplace(rule.ops().variant(rule.bytes()), text);
      return;
    }
    for (std::size_t i = from; i < rule.hyperparameters().size(); ++i) {
      const Hyperparameter& one = rule.hyperparameters()[i];
      for (const double value : {0.0, 0.5, 1.0}) {
        Rule changed = rule;
        if (!set(changed, one, value)) continue;
        const std::string change = code(std::string(one.name) + " = " + changed.text(one.name));
        search(changed, i + 1, changes - 1, text + (text.empty() ? "" : ", ") + change);
      }
    }
  }

  static bool is_valid(const Rule& rule) {
    try {
      rule.check();
      return true;
    } catch (const InvalidArgument&) {
      return false;
    }
  }

  /// Returns false, having changed nothing, if the value is out of range or the present one.
  static bool set(Rule& rule, const Hyperparameter& one, double value) {
    if (value == rule.get(one.name)) return false;
    try {
      rule.set(one.name, value);
      return true;
    } catch (const InvalidArgument&) {
      return false;
    }
  }

  std::map<unsigned, std::string> by_variant_;
};

/// Returns the states that all variants have, and as optional those that some have.
std::string states_of(const RuleOps& ops) {
  std::vector<std::string_view> always, optional;
  for (const VariantOps& variant : ops.variants) {
    for (const char* const state : variant.state_names) {
      const bool in_all = std::ranges::all_of(ops.variants, [&](const VariantOps& other) {
        return std::ranges::count(other.state_names, std::string_view(state)) > 0;
      });
      std::vector<std::string_view>& names = in_all ? always : optional;
      if (std::ranges::count(names, std::string_view(state)) == 0) names.emplace_back(state);
    }
  }
  if (optional.empty()) return always.empty() ? "none" : codes(always);
  return codes(always) + (always.empty() ? "optional " : "; optional ") + codes(optional);
}

/// Returns a number of each variant of a rule: "12", "12 to 28".
template <class Count>
std::string over_variants(const Rule& rule, Count count) {
  const auto [fewest, most] = std::ranges::minmax(rule.ops().variants | std::views::transform(count));
  return fewest == most ? std::to_string(most) : std::to_string(fewest) + " to " + std::to_string(most);
}

/// The streams that a variant reads in each of its passes before the update: for sums over the tensor, and
/// over rows and columns.
std::vector<unsigned> read_before(const Rule& rule, const VariantOps& variant) {
  std::vector<unsigned> passes(variant.axis_streams.begin(), variant.axis_streams.end());
  if (rule.ops().takes_sums(rule.bytes())) passes.push_back(variant.measured);
  std::erase(passes, 0u);
  return passes;
}

/// The bytes of a parameter that a step in float32 moves, with the fewest states and with the most: it reads
/// the gradient, it reads and writes the parameter and each state, and reads what its sums need once more.
std::string bytes_of(const Rule& rule) {
  return over_variants(rule, [&](const VariantOps& one) {
    int read = 0;
    for (const unsigned streams : read_before(rule, one)) read += std::popcount(streams);
    return 12 + 8 * one.states.size() + 4 * static_cast<std::size_t>(read);
  });
}

std::string passes_of(const Rule& rule) {
  return over_variants(rule, [&](const VariantOps& one) { return 1 + read_before(rule, one).size(); });
}

void print_overview(std::ostream& out, const std::vector<Header>& headers) {
  out << "| rule | summary | use it for | states | bytes | passes |\n|---|---|---|---|---|---|\n";
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const Rule& rule = library_rules()[i];
    std::string anchor(rule.name());
    std::ranges::transform(anchor, anchor.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    out << "| [" << rule.name() << "](#" << anchor << ") | " << cell(headers[i].summary()) << " | "
        << cell(headers[i].use_of(rule.name())) << " | " << states_of(rule.ops()) << " | " << bytes_of(rule)
        << " | " << passes_of(rule) << " |\n";
  }
}

void print_shared(std::ostream& out) {
  out << kOfEveryRule;
  for (const Hyperparameter& one : library_rules().front().hyperparameters()) {
    if (!is_shared(one)) continue;
    out << "| " << code(one.name) << " | " << range_of(one) << " | " << cell(one.meaning) << " |\n";
  }
  out << kStates;
}

/// The settings in which a preset differs from the defaults.
std::string changes_of(const Rule& preset, const Rule& usual) {
  std::string text;
  for (const Hyperparameter& one : usual.hyperparameters()) {
    if (preset.get(one.name) == usual.get(one.name)) continue;
    text += (text.empty() ? "" : ", ") + code(std::string(one.name) + " = " + preset.text(one.name));
  }
  return text.empty() ? "the defaults" : text;
}

void print_presets(std::ostream& out, const Rule& rule) {
  if (rule.presets().empty()) return;
  out << "\n| preset | settings | of whom |\n|---|---|---|\n";
  for (const Preset& one : rule.presets()) {
    const std::string name = std::string(rule.name()) + "." + one.name;
    out << "| " << code(name) << " | " << changes_of(rule.preset(one.name), rule) << " | "
        << cell(one.meaning) << " |\n";
  }
}

void print_rule(std::ostream& out, const Rule& rule, const Header& header) {
  out << "\n## " << rule.name() << "\n\n[" << code(header.name()) << "](../include/" << header.name()
      << ")\n\n";
  out << header.comment_of(rule.name());
  out << "\n| hyperparameter | default | range | meaning |\n|---|---|---|---|\n";
  for (const Hyperparameter& one : rule.hyperparameters()) {
    out << "| " << code(one.name) << " | " << rule.text(one.name) << " | " << range_of(one) << " | "
        << (is_shared(one) ? "as in [every rule](#every-rule)" : cell(one.meaning)) << " |\n";
  }
  print_presets(out, rule);
  out << "\n| states | selected, for example, by |\n|---|---|\n";
  const Selections selections(rule);
  const unsigned matrix_bit = rule.ops().matrix_bit;
  for (unsigned variant = 0; variant < rule.ops().variants.size(); ++variant) {
    const auto states = rule.ops().variants[variant].state_names;
    const char* const whose = matrix_bit == 0               ? ""
                              : (variant & matrix_bit) != 0 ? ", for matrices"
                                                            : ", for vectors";
    out << "| " << (states.empty() ? "none" : codes(states)) << " | " << selections.of(variant & ~matrix_bit)
        << whose << " |\n";
  }
  const auto scalars = rule.ops().variants.front().scalars;
  if (!scalars.empty()) out << "\nScalars, one of each for each parameter: " << codes(scalars) << ".\n";
}

std::string page() {
  const std::vector<Header> headers = headers_of_rules();
  std::ostringstream out;
  out << kBeginning;
  print_overview(out, headers);
  print_shared(out);
  for (std::size_t i = 0; i < headers.size(); ++i) print_rule(out, library_rules()[i], headers[i]);
  return out.str();
}

/// Prints the first line in which the page differs from the committed one.
void print_difference(const std::string& wanted, const std::string& committed) {
  std::istringstream ours(wanted), theirs(committed);
  for (int number = 1;; ++number) {
    std::string our, their;
    const bool has_our = static_cast<bool>(std::getline(ours, our));
    const bool has_their = static_cast<bool>(std::getline(theirs, their));
    if (has_our && has_their && our == their) continue;
    std::printf("line %d is\n  %s\nbut should be\n  %s\n", number, has_their ? their.c_str() : "(no line)",
                has_our ? our.c_str() : "(no line)");
    return;
  }
}

int compare(const char* program, const char* path) {
  std::ifstream file(path);
  const std::string committed{std::istreambuf_iterator<char>(file), {}};
  const std::string wanted = page();
  if (committed == wanted) return 0;
  print_difference(wanted, committed);
  std::printf("%s does not describe the rules. This command writes it:\n  %s --write %s\n", path, program,
              path);
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string_view> given(arguments + 1, arguments + count);
  try {
    if (given.size() == 1 && !given[0].starts_with("-")) return compare(arguments[0], arguments[1]);
    if (given.size() == 2 && given[0] == "--write")
      return (std::ofstream(arguments[2]) << page()).good() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "onepass_rules_doc: %s\n", error.what());
    return 1;
  }
  std::fprintf(stderr, "usage: onepass_rules_doc [--write] docs/rules.md\n");
  return 2;
}

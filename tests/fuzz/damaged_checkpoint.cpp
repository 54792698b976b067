// damaged_checkpoint.cpp - checkpoints with damaged headers, whose checksum fits them.
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.hpp"
#include "fuzz/side.hpp"
#include "support/checkpoint/files.hpp"

namespace onepass::fuzz {
namespace {

using Json = nlohmann::ordered_json;
using test::file_of;
using test::Folder;

constexpr const char* kMetadata = "__metadata__";

/// A value of any type, small or large.
Json odd_value(Draw& draw) {
  switch (draw.below(7)) {
    case 0:
      return nullptr;
    case 1:
      return draw.chance(0.5);
    case 2:
      return draw.odd_count();
    case 3:
      return draw.odd();
    case 4:
      return draw.bits();
    case 5:
      return draw.pick({Json::array(), Json::object()});
    default:
      return draw.pick({"", "-1", "float32", "quantized8", "none", "AdamW"});
  }
}

/// The member of an object, or the element of a list, with this number.
Json::iterator child(Json& json, std::size_t number) {
  return std::next(json.begin(), static_cast<std::ptrdiff_t>(number));
}

void damage(Draw& draw, Json& json) {
  const bool has_children = json.is_structured() && !json.empty();
  if (has_children && draw.chance(0.9)) return damage(draw, *child(json, draw.below(json.size())));
  if (has_children && draw.chance(0.7)) {
    const std::size_t one = draw.below(json.size()), other = draw.below(json.size());
    const std::size_t kind = draw.below(4);
    if (kind == 0) json.erase(child(json, one));
    if (kind == 1) std::swap(*child(json, one), *child(json, other));
    if (kind == 2 && json.is_array()) json.push_back(Json(json[one]));
    if (kind == 3 && json.is_object()) json["more"] = odd_value(draw);
    return;
  }
  if (json.is_number_integer() && draw.chance(0.5)) {
    json = json.get<std::uint64_t>() + draw.pick<std::uint64_t>({~std::uint64_t{0}, 1, 4, 8, 32});
    if (draw.chance(0.5)) json = static_cast<std::int64_t>(json.get<std::uint64_t>());
  } else if (json.is_string() && draw.chance(0.6)) {
    std::string text = json.get<std::string>();
    fuzz::damage(draw, text);
    json = text;
  } else {
    json = odd_value(draw);
  }
}

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// Damages the header, or the document in its metadata. The checksum stays at its place.
std::string damaged_header(Draw& draw, const std::string& header) {
  Json json = Json::parse(header);
  if (draw.chance(0.6)) {
    Json document = Json::parse(json[kMetadata]["onepass"].get<std::string>());
    const bool below = draw.chance(0.9);  // where most of it is
    for (std::size_t times = 1 + draw.below(2); times > 0; --times) {
      damage(draw, below ? document["optimizers"] : document);
    }
    json[kMetadata]["onepass"] = text_of(document);
    return text_of(json);
  }
  if (draw.chance(0.7)) {
    damage(draw, *child(json, draw.below(json.size())));
    return text_of(json);
  }
  std::string text = header;
  const std::size_t start = test::kDigitsAt - 8 + test::kDigits;
  const std::size_t at = start + draw.below(text.size() - start);
  const std::string piece =
      draw.pick({std::string("{"), std::string("[[[["), std::string("\""), std::string("1e999"),
                 std::string(1, '\0'), std::string("\xff"), std::string(",")});
  if (draw.chance(0.5)) return text.replace(at, std::min(piece.size(), text.size() - at), piece);
  return draw.chance(0.5) ? text.substr(0, at) : text.insert(at, piece);
}

}  // namespace

void damaged_checkpoints(std::uint64_t seed, Trace& trace) {
  Draw draw(test::mix(seed) + 3);
  const Folder folder;
  Side side(draw, draw_setup(draw));
  trace.call("an optimizer");
  for (std::size_t group = 0; group < side.setup.rules.size(); ++group) {
    taken(trace, [&] { side.optimizer->set_schedule(draw_schedule(draw, false), group); });
  }
  if (draw.chance(0.5)) side.optimizer->set_gradient_handling({.loss_scaler = LossScaler{.init_scale = 4.0}});
  take_steps(draw, side, 3);
  save(folder / "whole", *side.optimizer);
  const Shot whole = side.shot();
  const std::string bytes = test::bytes_of(folder / "whole"), header = test::header_of(bytes);
  for (int attempt = 0; attempt < 30; ++attempt) {
    trace.call("a damaged checkpoint");
    test::write_bytes(folder / "damaged",
                      file_of(damaged_header(draw, header), bytes.substr(8 + header.size())));
    take_steps(draw, side, 1);
    const Shot before = side.shot();
    const LoadCheckpointOptions options{.missing = draw.pick({Missing::refuse, Missing::keep}),
                                        .unexpected = draw.pick({Unexpected::refuse, Unexpected::ignore}),
                                        .shards = draw.chance(0.5),
                                        .parameters = draw.chance(0.7)};
    if (taken(trace, [&] { (void)load(folder / "damaged", *side.optimizer, options); })) {
      take_steps(draw, side, 3);
    } else {
      const std::string changed = difference(before, side.shot());
      require(changed.empty(), "a refused checkpoint has changed " + changed);
    }
    trace.call("the whole checkpoint");
    (void)load(folder / "whole", *side.optimizer);
    Shot restored = side.shot();
    restored.grads = whole.grads;    // no checkpoint has them
    restored.copies = whole.copies;  // those may have been written by no step before
    const std::string lost = difference(whole, restored);
    require(lost.empty(), "not restored: " + lost);
  }
}

}  // namespace onepass::fuzz

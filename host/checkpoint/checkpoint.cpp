// checkpoint.cpp - save() and load().
#include "onepass/checkpoint.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <iterator>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "host/check/sentence.hpp"
#include "host/checkpoint/document.hpp"
#include "host/checkpoint/json.hpp"
#include "host/checkpoint/layout.hpp"
#include "host/checkpoint/pieces/convert.hpp"
#include "host/checkpoint/pieces/pieces.hpp"
#include "host/checkpoint/safetensors.hpp"
#include "host/optimizer/optimizer.hpp"
#include "step/table.hpp"

namespace onepass {
namespace checkpoint {
namespace {

constexpr const char* kDocument = "onepass";

std::string unloadable(const std::filesystem::path& path) {
  return onepass::quoted(path.string()) + " cannot be loaded";
}

PieceRecord record_of(const Optimizer::Impl& core, std::size_t index, const SavedParameter& saved) {
  const Parameter& parameter = core.roster.parameters[index];
  const VariantOps& variant = core.variant_of(parameter);
  PieceRecord record{.name = parameter.name,
                     .first = parameter.first,
                     .numel = parameter.value.numel,
                     .run = parameter.run,
                     .pitch = parameter.pitch,
                     .group = static_cast<std::int64_t>(parameter.group),
                     .step = saved.step,
                     .accumulated = saved.accumulated,
                     .format = format_name(core.roster.formats[index]),
                     .states = {},
                     .ema = {}};
  for (std::size_t s = 0; s < variant.states.size(); ++s) {
    record.states.push_back(
        {variant.states[s], variant.is_nonnegative(s), variant.storage_of(s, record.format)});
  }
  if (core.keeps.ema) record.ema = core.keeps.ema->dtype;
  record.is_slow = core.keeps.lookahead.has_value();
  const std::vector<StreamSpec> specs = core.specs_of(index);
  for (std::size_t s = 0; s < specs.size(); ++s) {
    if (specs[s].role == StreamRole::line) record.lines.push_back({specs[s].name, *specs[s].numel});
    if (specs[s].role != StreamRole::scalar) continue;
    std::memcpy(&record.scalars.emplace_back(ScalarRecord{specs[s].name, 0.0}).value,
                saved.states[s].bytes.data(), sizeof(double));
  }
  return record;
}

/// The memory of each tensor of a parameter, by its key.
std::unordered_map<std::string, ConstLocation> places_of(const Parameter& parameter,
                                                         const SavedParameter& saved,
                                                         std::span<const StreamSpec> specs) {
  std::unordered_map<std::string, ConstLocation> places;
  const auto add = [&](const std::string& key, Device device, const void* data) {
    places.emplace(key, ConstLocation(device, data));
  };
  add(parameter.name, parameter.value.device, parameter.value.data);
  for (std::size_t s = 0; s < specs.size(); ++s) {
    const std::byte* const bytes = saved.states[s].bytes.data();
    add(key_of(parameter.name, specs[s].name), Device::cpu(), bytes);
    if (!specs[s].scales) continue;
    add(scales_key(parameter.name, specs[s].name), Device::cpu(),
        bytes + step::scales_at(parameter.value.numel));
  }
  add(key_of(parameter.name, kGradientSum), Device::cpu(), saved.gradient_sum.data());
  return places;
}

/// Collects what a file has of several optimizers.
class Collection {
 public:
  explicit Collection(const SaveOptions& options) : options_(options) {
    document_.has_values = options.parameters;
  }

  void add(const Optimizer& optimizer, Stream stream) {
    const Optimizer::Impl& core = optimizer.core();
    const StateDict& dict = dicts_.emplace_back(optimizer.state_dict(stream));
    OptimizerRecord& record = document_.optimizers.emplace_back();
    for (std::size_t p = 0; p < dict.parameters.size(); ++p) {
      const PieceRecord& piece = record.pieces.emplace_back(record_of(core, p, dict.parameters[p]));
      if (!names_.insert(piece.name).second) {
        refuse_content("two of its optimizers have a parameter " + onepass::quoted(piece.name));
      }
      add_tensors(piece, places_of(core.roster.parameters[p], dict.parameters[p], core.specs_of(p)));
    }
    record.settings = dict;
    record.settings.parameters.clear();
  }

  void write(const std::filesystem::path& path, Stream stream) {
    Metadata metadata = options_.metadata;
    for (const char* const taken : {kDocument, kChecksum}) {
      if (metadata.contains(taken))
        refuse_content("metadata may not have the name " + onepass::quoted(taken));
    }
    metadata[kDocument] = to_text(document_);
    write_tensors(path, std::move(tensors_), metadata, stream);
  }

 private:
  void add_tensors(const PieceRecord& piece, const std::unordered_map<std::string, ConstLocation>& places) {
    for (const NamedTensor& tensor : tensors_of(piece, options_.parameters)) {
      if (tensor.key == kMetadata || !keys_.insert(tensor.key).second) {
        refuse_content("the name " + onepass::quoted(tensor.key) +
                       " would stand for two tensors; rename the parameter " + onepass::quoted(piece.name));
      }
      tensors_.push_back({tensor, places.at(tensor.key)});
    }
  }

  const SaveOptions& options_;
  std::deque<StateDict> dicts_;  ///< tensors_ points into them.
  Document document_;
  std::vector<SourceTensor> tensors_;
  std::unordered_set<std::string> names_, keys_;
};

/// A file that was read, and what its document says.
struct ReadFile {
  TensorFile tensors;
  Document document;
};

/// Checks that the file has just the tensors that its document says.
void check_tensors(const ReadFile& file) {
  std::unordered_set<std::string> keys;
  for (const OptimizerRecord& optimizer : file.document.optimizers) {
    for (const PieceRecord& piece : optimizer.pieces) {
      for (const NamedTensor& wanted : tensors_of(piece, file.document.has_values)) {
        const NamedTensor& is = file.tensors.find(wanted.key);
        if (is.kind != wanted.kind || is.numel != wanted.numel) {
          refuse_content("its tensor " + onepass::quoted(wanted.key) + " has " + elements(is.numel) + " of " +
                         to_string(is.kind) + ", but its metadata says " + elements(wanted.numel) + " of " +
                         to_string(wanted.kind));
        }
        if (!keys.insert(wanted.key).second)
          refuse_content("two parameters have " + onepass::quoted(wanted.key));
      }
    }
  }
  if (keys.size() != file.tensors.size()) {
    refuse_content("it has " + std::to_string(file.tensors.size()) + " tensors, but its metadata says " +
                   std::to_string(keys.size()));
  }
}

ReadFile read_file(const std::filesystem::path& path) {
  return naming(unloadable(path), [&] {
    TensorFile tensors(path);
    const auto document = tensors.metadata().find(kDocument);
    if (document == tensors.metadata().end())
      refuse_content("its metadata lacks " + onepass::quoted(kDocument));
    ReadFile file{std::move(tensors), parse_document(document->second)};
    check_tensors(file);
    return file;
  });
}

/// Checks that two files are shards of one model.
void check_same_settings(const ReadFile& file, const ReadFile& first) {
  const auto differ = [&](const std::string& what, const std::string& is, const std::string& other) {
    refuse_content(what + " is " + is + ", but " + other + " in " +
                   onepass::quoted(first.tensors.path().string()));
  };
  const auto has_values = [](const ReadFile& of) { return of.document.has_values ? "true" : "false"; };
  if (file.document.has_values != first.document.has_values) {
    differ("\"parameters\"", has_values(file), has_values(first));
  }
  const std::vector<OptimizerRecord>&mine = file.document.optimizers, &others = first.document.optimizers;
  if (mine.size() != others.size()) {
    differ("the number of optimizers", std::to_string(mine.size()), std::to_string(others.size()));
  }
  for (std::size_t k = 0; k < mine.size(); ++k) {
    for (std::size_t i = 0; i < mine[k].texts.size(); ++i) {
      const SavedHyperparameter &is = mine[k].texts[i], &other = others[k].texts[i];
      if (is != other)
        differ(onepass::quoted(is.name) + " of optimizer " + std::to_string(k), is.value, other.value);
    }
  }
}

/// The dict and the values that load() writes into an optimizer, in the formats of its parameters.
struct LoadedOptimizer {
  StateDict dict;
  std::vector<std::pair<std::size_t, std::vector<std::byte>>> values;  ///< By index of the parameter.
};

/// Puts optimizer number `index` of the files together.
LoadedOptimizer loaded_optimizer(const Optimizer::Impl& core, const std::vector<ReadFile>& files,
                                 std::size_t index, Wanted wanted) {
  LoadedOptimizer loaded{.dict = files.front().document.optimizers[index].settings, .values = {}};
  std::vector<std::string> names;
  std::unordered_map<std::string, std::vector<Piece>> pieces;
  for (const ReadFile& file : files) {
    for (const PieceRecord& record : file.document.optimizers[index].pieces) {
      std::vector<Piece>& all = pieces[record.name];
      if (all.empty()) names.push_back(record.name);
      all.push_back({&file.tensors, &record});
    }
  }
  for (const std::string& name : names) {
    const auto known = core.roster.index_by_name.find(name);
    if (known == core.roster.index_by_name.end()) {
      loaded.dict.parameters.emplace_back().name = name;
      continue;
    }
    const std::size_t p = known->second;
    const Parameter& parameter = core.roster.parameters[p];
    const Target target{parameter, core.variant_of(parameter), format_name(core.roster.formats[p]),
                        core.specs_of(p)};
    Loaded one = put_together(target, pieces.at(name), wanted);
    loaded.dict.parameters.push_back(std::move(one.saved));
    if (wanted.values) loaded.values.emplace_back(p, std::move(one.value));
  }
  return loaded;
}

/// Writes a parameter's value, and the 16-bit copy of it.
void write_value(const Parameter& parameter, const std::vector<std::byte>& value, Stream stream) {
  const Tensor &to = parameter.value, &low = parameter.copy;
  copy({to.device, to.data}, {Device::cpu(), value.data()}, value.size(), stream);
  if (low.data == nullptr) return;
  std::vector<float> numbers(static_cast<std::size_t>(to.numel));
  std::vector<std::byte> bytes(low.bytes());
  decode_numbers(to.dtype, value, numbers);
  encode_numbers(numbers, low.dtype, bytes);
  copy({low.device, low.data}, {Device::cpu(), bytes.data()}, bytes.size(), stream);
}

std::vector<ReadFile> read_files(const CheckpointFiles& paths) {
  if (paths.all().empty()) refuse_content("load: there must be a file");
  std::vector<ReadFile> files;
  for (const std::filesystem::path& path : paths.all()) {
    files.push_back(read_file(path));
    naming(unloadable(path), [&] { check_same_settings(files.back(), files.front()); });
  }
  return files;
}

/// "a" cannot be loaded; or "a" and 3 other files cannot be loaded
std::string unloadable(const CheckpointFiles& paths) {
  const std::string first = onepass::quoted(paths.all().front().string());
  const std::size_t others = paths.all().size() - 1;
  if (others == 0) return first + " cannot be loaded";
  return first + " and " + std::to_string(others) + (others == 1 ? " other file" : " other files") +
         " cannot be loaded";
}

template <class OneOptimizer>
void check_list(const char* function, const OptimizerList<OneOptimizer>& optimizers) {
  const auto& all = optimizers.all();
  if (!all.empty() && std::ranges::find(all, nullptr) == all.end()) return;
  refuse_content(std::string(function) + ": there must be an optimizer, and no null pointer");
}

/// Reads and checks everything that is loaded, and changes nothing. Returns what each optimizer takes.
std::vector<LoadedOptimizer> checked(const std::vector<ReadFile>& files,
                                     const OptimizerList<Optimizer>& optimizers,
                                     const LoadCheckpointOptions& options, Stream stream, LoadedDict& names) {
  const Document& document = files.front().document;
  if (document.optimizers.size() != optimizers.all().size()) {
    refuse_content("it has " + std::to_string(document.optimizers.size()) + " optimizers, but " +
                   std::to_string(optimizers.all().size()) + " are to be loaded");
  }
  if (options.parameters && !document.has_values) {
    refuse_content(
        "it was saved without the parameters' values; LoadCheckpointOptions::parameters leaves them "
        "out");
  }
  std::vector<LoadedOptimizer> loaded;
  for (std::size_t k = 0; k < optimizers.all().size(); ++k) {
    const Optimizer::Impl& core = optimizers.all()[k]->core();
    loaded.push_back(
        loaded_optimizer(core, files, k, {.values = options.parameters, .shards = options.shards}));
    LoadedDict differ = core.check_dict(loaded.back().dict, {options.missing, options.unexpected}, stream);
    std::ranges::move(differ.missing, std::back_inserter(names.missing));
    std::ranges::move(differ.unexpected, std::back_inserter(names.unexpected));
  }
  return loaded;
}

}  // namespace
}  // namespace checkpoint

using namespace checkpoint;  // NOLINT: for the definitions below

void save(const std::filesystem::path& path, const OptimizerList<const Optimizer>& optimizers,
          const SaveOptions& options, Stream stream) {
  check_list("save", optimizers);
  naming(onepass::quoted(path.string()) + " cannot be saved", [&] {
    Collection collection(options);
    for (const Optimizer* const one : optimizers.all()) collection.add(*one, stream);
    collection.write(path, stream);
  });
}

LoadedDict load(const CheckpointFiles& paths, const OptimizerList<Optimizer>& optimizers,
                const LoadCheckpointOptions& options, Stream stream) {
  check_list("load", optimizers);
  const std::vector<ReadFile> files = read_files(paths);
  LoadedDict names;
  const std::vector<LoadedOptimizer> loaded =
      naming(unloadable(paths), [&] { return checked(files, optimizers, options, stream, names); });
  for (std::size_t k = 0; k < loaded.size(); ++k) {
    Optimizer::Impl& core = optimizers.all()[k]->core();
    core.load_checked(loaded[k].dict, stream);
    for (const auto& [p, value] : loaded[k].values) write_value(core.roster.parameters[p], value, stream);
  }
  return names;
}

CheckpointMetadata load_metadata(const std::filesystem::path& path) {
  CheckpointMetadata metadata = read_file(path).tensors.metadata();
  metadata.erase(kDocument);
  return metadata;
}

}  // namespace onepass

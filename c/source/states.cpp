// states.cpp - states of parameters, and checkpoints on disk.
#include "c/source/convert.hpp"

namespace onepass::c {
namespace {

/// Returns the names of a parameter's states, or of all if `parameter` is null.
std::span<const char* const> names_of(const onepass_optimizer* handle, const char* parameter) {
  const Optimizer& one = optimizer_of(handle);
  return parameter == nullptr ? one.state_names() : one.state_names(parameter);
}

CheckpointMetadata metadata_of(const onepass_save_options& c) {
  CheckpointMetadata metadata;
  for (const onepass_text& one : array_of(c.metadata, "metadata", c.metadata_count, "metadata_count")) {
    require(one.name, "the name of metadata");
    require(one.text, "the text of metadata");
    if (!metadata.emplace(one.name, one.text).second) {
      refuse("metadata has the name \"" + std::string(one.name) + "\" twice");
    }
  }
  return metadata;
}

template <class Handle>
auto optimizers_of(Handle* const* handles, std::int64_t count) {
  std::vector<decltype(&optimizer_of(*handles))> own;
  for (Handle* one : array_of(handles, "optimizers", count, "count")) own.push_back(&optimizer_of(one));
  return own;
}

CheckpointFiles files_of(const char* const* paths, std::int64_t count) {
  std::vector<std::filesystem::path> files;
  for (const char* path : array_of(paths, "paths", count, "path_count")) {
    require(path, "a path");
    files.emplace_back(path);
  }
  return files;
}

onepass_load_options load_options_of(const onepass_load_options* given) {
  auto c = struct_or_zero(given, "onepass_load_options");
  for (const auto& [name, value] : {std::pair("keep_missing", c.keep_missing),
                                    {"ignore_unexpected", c.ignore_unexpected},
                                    {"shards", c.shards},
                                    {"skip_parameters", c.skip_parameters}}) {
    flag(name, value);
  }
  return c;
}

Missing missing_of(const onepass_load_options& c) {
  return c.keep_missing == 1 ? Missing::keep : Missing::refuse;
}
Unexpected unexpected_of(const onepass_load_options& c) {
  return c.ignore_unexpected == 1 ? Unexpected::ignore : Unexpected::refuse;
}

/// Gives the names to the caller, both lists or none.
void write_loaded(LoadedDict loaded, onepass_texts** missing, onepass_texts** unexpected) {
  auto first = std::make_unique<onepass_texts>(std::move(loaded.missing));
  auto second = std::make_unique<onepass_texts>(std::move(loaded.unexpected));
  if (missing != nullptr) *missing = first.release();
  if (unexpected != nullptr) *unexpected = second.release();
}

void clear(onepass_texts** missing, onepass_texts** unexpected) {
  if (missing != nullptr) *missing = nullptr;
  if (unexpected != nullptr) *unexpected = nullptr;
}

}  // namespace
}  // namespace onepass::c

using namespace onepass::c;  // NOLINT: every function below is one of the interface

extern "C" {

int onepass_state_count(const onepass_optimizer* optimizer, const char* parameter, int64_t* count) {
  return guarded(
      [&] { write(count, "count", static_cast<std::int64_t>(names_of(optimizer, parameter).size())); });
}

int onepass_state_name(const onepass_optimizer* optimizer, const char* parameter, int64_t index,
                       const char** name) {
  return guarded([&] {
    require(name, "name");
    const auto names = names_of(optimizer, parameter);
    *name = at(names, "a state's index", index);
  });
}

int onepass_state(onepass_optimizer* optimizer, const char* parameter, const char* state,
                  onepass_tensor* tensor) {
  return guarded([&] {
    require(parameter, "parameter");
    require(state, "state");
    require(tensor, "tensor");
    write_struct(tensor_of(optimizer_of(optimizer).state(parameter, state)), tensor, "onepass_tensor");
  });
}

int onepass_load_state_dict(onepass_optimizer* optimizer, const onepass_dict* dict,
                            const onepass_load_options* options, void* stream, onepass_texts** missing,
                            onepass_texts** unexpected) {
  return guarded([&] {
    clear(missing, unexpected);
    onepass::Optimizer& one = optimizer_of(optimizer);
    require(dict, "dict");
    const auto c = load_options_of(options);
    if (c.shards == 1 || c.skip_parameters == 1) refuse("shards and skip_parameters are for onepass_load()");
    write_loaded(one.load_state_dict(dict->dict, {missing_of(c), unexpected_of(c)}, stream_of(stream)),
                 missing, unexpected);
  });
}

int onepass_save(const char* path, const onepass_optimizer* const* optimizers, int64_t count,
                 const onepass_save_options* options, void* stream) {
  return guarded([&] {
    require(path, "path");
    const auto c = struct_or_zero(options, "onepass_save_options");
    onepass::save(path, optimizers_of(optimizers, count),
                  {.parameters = !flag("skip_parameters", c.skip_parameters), .metadata = metadata_of(c)},
                  stream_of(stream));
  });
}

int onepass_load(const char* const* paths, int64_t path_count, onepass_optimizer* const* optimizers,
                 int64_t count, const onepass_load_options* options, void* stream, onepass_texts** missing,
                 onepass_texts** unexpected) {
  return guarded([&] {
    clear(missing, unexpected);
    const auto c = load_options_of(options);
    write_loaded(onepass::load(files_of(paths, path_count), optimizers_of(optimizers, count),
                               {.missing = missing_of(c),
                                .unexpected = unexpected_of(c),
                                .shards = c.shards == 1,
                                .parameters = c.skip_parameters == 0},
                               stream_of(stream)),
                 missing, unexpected);
  });
}

int onepass_load_metadata(const char* path, onepass_texts** metadata) {
  return guarded([&] {
    write_handle(metadata, "metadata", [&] {
      require(path, "path");
      auto texts = std::make_unique<onepass_texts>();
      for (const auto& [name, text] : onepass::load_metadata(path)) {
        texts->texts.push_back(name);
        texts->texts.push_back(text);
      }
      return texts.release();
    });
  });
}

}  // extern "C"

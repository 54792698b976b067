// checkpoint.cpp - the file of a saved run:
//   8 bytes   "onepass1"
//   u32       version of what follows
//   u64       bytes of the payload
//   payload   the members of Checkpoint in order; a list is a u64 count and its elements
//   u32       CRC-32 of the payload
// All numbers are little-endian.
#include "training/checkpoint.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <span>
#include <type_traits>

#include "errors.hpp"
#include "onepass/error.hpp"

namespace train {
namespace {

static_assert(std::endian::native == std::endian::little, "a big-endian machine would have to swap bytes");

constexpr char kMagic[9] = "onepass1";
constexpr std::size_t kMagicSize = 8;
constexpr std::uint32_t kVersion = 5;
constexpr std::uint32_t kOldest = 4;  // has a rule name and base rates in place of StateDict::groups

using Bytes = std::vector<std::byte>;

std::uint32_t checksum(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// Appends values to a growing buffer.
class Writer {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void operator()(const T& value) { raw(std::as_bytes(std::span(&value, 1))); }

  void operator()(const std::string& text) { list(text.data(), text.size()); }

  template <class T>
  void operator()(const std::vector<T>& values) {
    if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::byte>) {
      list(values.data(), values.size());
    } else {
      (*this)(std::uint64_t{values.size()});
      for (const T& value : values) visit(*this, value);
    }
  }

  [[nodiscard]] static std::uint32_t version() { return kVersion; }

  Bytes bytes;

 private:
  template <class T>
  void list(const T* values, std::size_t count) {
    (*this)(std::uint64_t{count});
    raw(std::as_bytes(std::span(values, count)));
  }
  void raw(std::span<const std::byte> more) { bytes.insert(bytes.end(), more.begin(), more.end()); }
};

/// Reads values from the front of a buffer; throws Failure if too few bytes are left.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& name, std::uint32_t version = kVersion)
      : left_(bytes), name_(name), version_(version) {}

  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void operator()(T& value) { raw(&value, 1); }

  void operator()(std::string& text) {
    text.resize(count(1));
    raw(text.data(), text.size());
  }

  template <class T>
  void operator()(std::vector<T>& values) {
    if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::byte>) {
      values.resize(count(sizeof(T)));
      raw(values.data(), values.size());
    } else {
      // Every element takes at least one byte, so a damaged count cannot allocate all memory.
      values.resize(count(1));
      for (T& value : values) visit(*this, value);
    }
  }

  [[nodiscard]] bool empty() const { return left_.empty(); }
  [[nodiscard]] std::uint32_t version() const { return version_; }

 private:
  std::size_t count(std::size_t element) {
    std::uint64_t count = 0;
    (*this)(count);
    if (count > left_.size() / element) cut_off();
    return static_cast<std::size_t>(count);
  }

  template <class T>
  void raw(T* values, std::size_t count) {
    const std::size_t size = count * sizeof(T);
    if (size > left_.size()) cut_off();
    if (size > 0) std::memcpy(values, left_.data(), size);
    left_ = left_.subspan(size);
  }

  [[noreturn]] void cut_off() const { throw Failure(fmt::format("{} ends in the middle of a value", name_)); }

  std::span<const std::byte> left_;
  const std::string& name_;
  std::uint32_t version_;
};

// These functions list the members once for both directions, Writer and Reader.
template <class Archive, class T>
requires std::is_same_v<std::remove_const_t<T>, SavedSetting>
void visit(Archive& archive, T& setting) {
  archive(setting.option);
  archive(setting.text);
}

template <class Archive, class T>
requires std::is_same_v<std::remove_const_t<T>, NamedValues>
void visit(Archive& archive, T& tensor) {
  archive(tensor.name);
  archive(tensor.values);
}

template <class Archive, class T>
requires std::is_same_v<std::remove_const_t<T>, onepass::SavedState>
void visit(Archive& archive, T& state) {
  archive(state.name);
  archive(state.dtype);
  archive(state.bytes);
}

template <class Archive, class T>
requires std::is_same_v<std::remove_const_t<T>, onepass::SavedParameter>
void visit(Archive& archive, T& parameter) {
  archive(parameter.name);
  archive(parameter.step);
  archive(parameter.states);
  archive(parameter.accumulated);
  archive(parameter.gradient_sum);
}

template <class Archive, class T>
requires std::is_same_v<std::remove_const_t<T>, onepass::schedule::Segment>
void visit(Archive& archive, T& segment) {
  archive(segment.kind);
  archive(segment.stage);
  archive(segment.begin);
  archive(segment.first_number);
  archive(segment.number_count);
  for (auto& parameter : segment.parameters) archive(parameter);
}

void visit(Writer& archive, const onepass::Schedule& schedule) {
  archive(std::vector(schedule.segments().begin(), schedule.segments().end()));
  archive(std::vector(schedule.numbers().begin(), schedule.numbers().end()));
}

/// Reads a schedule. Its constructor checks the values.
void visit(Reader& archive, onepass::Schedule& schedule) {
  std::vector<onepass::schedule::Segment> segments;
  std::vector<double> numbers;
  archive(segments);
  archive(numbers);
  try {
    schedule = onepass::Schedule(segments, numbers);
  } catch (const onepass::InvalidArgument& error) {
    throw Failure(fmt::format("the saved run cannot be read: {}", error.what()));
  }
}

template <class Archive, class T>
requires std::is_same_v<std::remove_const_t<T>, onepass::SavedHyperparameter>
void visit(Archive& archive, T& hyperparameter) {
  archive(hyperparameter.name);
  archive(hyperparameter.value);
}

template <class Archive, class T>
requires std::is_same_v<std::remove_const_t<T>, onepass::SavedGroup>
void visit(Archive& archive, T& group) {
  archive(group.rule);
  archive(group.hyperparameters);
}

template <class Archive, class T>
requires std::is_same_v<std::remove_const_t<T>, onepass::StateDict>
void visit(Archive& archive, T& dict) {
  const bool has_groups = archive.version() > kOldest;
  if (has_groups) {
    archive(dict.groups);
  } else {
    archive(dict.rule);
  }
  archive(dict.steps);
  archive(dict.skipped_steps);
  archive(dict.micro_batches);
  archive(dict.loss_scale);
  archive(dict.growth_tracker);
  archive(dict.seed);
  if (!has_groups) archive(dict.lrs);
  archive(dict.schedules);
  archive(dict.parameters);
}

template <class Archive, class T>
requires std::is_same_v<std::remove_const_t<T>, Checkpoint>
void visit(Archive& archive, T& checkpoint) {
  archive(checkpoint.settings);
  archive(checkpoint.images);
  archive(checkpoint.step);
  archive(checkpoint.parameters);
  visit(archive, checkpoint.optimizer);
  archive(checkpoint.dropout.seed);
  archive(checkpoint.dropout.offset);
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw Failure(fmt::format("{} cannot be written: {}", path.string(), std::strerror(errno)));
}

Bytes read_file(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file ? static_cast<std::streamoff>(file.tellg()) : -1;
  if (!std::filesystem::is_regular_file(path) || size < 0) {
    throw Failure(fmt::format("{} cannot be opened: {}", path.string(),
                              errno != 0 ? std::strerror(errno) : "it is not a file"));
  }
  Bytes bytes(static_cast<std::size_t>(size));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), size);
  if (!file) throw Failure(fmt::format("{} cannot be read", path.string()));
  return bytes;
}

}  // namespace

std::vector<SavedSetting> save_settings(const Settings& settings) {
  std::vector<SavedSetting> saved;
  for (const Change& change : all_settings(settings)) {
    saved.push_back({std::string(change.setting->option), change.text});
  }
  return saved;
}

Settings load_settings(const std::vector<SavedSetting>& saved) {
  Settings settings;
  for (const SavedSetting& one : saved) {
    const Setting* setting = find_setting(one.option);
    if (setting == nullptr) {
      throw Failure(
          fmt::format("the saved run has {} {}, which this program does not know", one.option, one.text));
    }
    try {
      setting->read(settings, one.text);
    } catch (const UsageError& error) {
      throw Failure(fmt::format("the saved run cannot be read: {}", error.what()));
    }
  }
  return settings;
}

void save_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& path) {
  Writer payload;
  visit(payload, checkpoint);
  Writer file;
  file.bytes.resize(kMagicSize);
  std::memcpy(file.bytes.data(), kMagic, kMagicSize);
  file(kVersion);
  file(payload.bytes);
  file(checksum(payload.bytes));

  std::filesystem::path partial = path;
  partial += ".partial";
  std::error_code error;
  try {
    write_file(partial, file.bytes);
  } catch (const Failure&) {
    std::filesystem::remove(partial, error);
    throw;
  }
  std::filesystem::rename(partial, path, error);
  if (error) {
    const std::string reason = error.message();
    std::filesystem::remove(partial, error);
    throw Failure(fmt::format("{} cannot be written: {}", path.string(), reason));
  }
}

Checkpoint load_checkpoint(const std::filesystem::path& path) {
  const Bytes bytes = read_file(path);
  const std::string name = path.string();
  if (bytes.size() < kMagicSize || std::memcmp(bytes.data(), kMagic, kMagicSize) != 0) {
    throw Failure(fmt::format("{} is not a run that onepass-train has saved", name));
  }
  Reader file(std::span<const std::byte>(bytes).subspan(kMagicSize), name);
  std::uint32_t version = 0;
  file(version);
  if (version < kOldest || version > kVersion) {
    throw Failure(
        fmt::format("{} has version {} of the file format, but this program reads versions {} to {}", name,
                    version, kOldest, kVersion));
  }
  Bytes payload;
  std::uint32_t sum = 0;
  file(payload);
  file(sum);
  if (sum != checksum(payload) || !file.empty()) {
    throw Failure(fmt::format("{} is damaged: its checksum does not fit its contents", name));
  }
  Checkpoint checkpoint;
  Reader reader(payload, name, version);
  visit(reader, checkpoint);
  return checkpoint;
}

}  // namespace train

#include "host/checkpoint/safetensors.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "host/check/sentence.hpp"
#include "host/checkpoint/json.hpp"

namespace onepass::checkpoint {
namespace {

static_assert(std::endian::native == std::endian::little, "a big-endian machine would have to swap bytes");

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kAlignment = 8;

/// XXH3_64bits of all bytes that are added, without a seed.
class Checksum {
 public:
  Checksum() : state_(std::make_unique<XXH3_state_t>()) { (void)XXH3_64bits_reset(state_.get()); }

  void add(std::span<const std::byte> bytes) {
    if (!bytes.empty()) (void)XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
  }
  /// Returns the checksum of the bytes so far as 16 lower-case hexadecimal digits.
  [[nodiscard]] std::string digits() const {
    std::uint64_t sum = XXH3_64bits_digest(state_.get());
    std::string text(kZeroDigits);
    for (auto digit = text.rbegin(); digit != text.rend(); ++digit, sum >>= 4) {
      *digit = "0123456789abcdef"[sum & 15];
    }
    return text;
  }

 private:
  std::unique_ptr<XXH3_state_t> state_;
};

struct KindName {
  Kind kind;
  const char* name;
  std::size_t size;
};
constexpr std::array kKinds{KindName{Kind::f32, "F32", 4}, KindName{Kind::bf16, "BF16", 2},
                            KindName{Kind::f16, "F16", 2}, KindName{Kind::i16, "I16", 2},
                            KindName{Kind::i8, "I8", 1},   KindName{Kind::u8, "U8", 1}};

const KindName& kind_name(Kind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Returns the length of the header and the header, in which the checksum is zeros.
std::string header_of(const std::vector<SourceTensor>& tensors, const Metadata& metadata) {
  std::string text(kLengthBytes, '\0');
  text.append(kHeaderStart).append(kZeroDigits).append("\"");
  for (const auto& [name, value] : metadata) {
    text.append(",").append(json_string(name)).append(":").append(json_string(value));
  }
  text += "}";
  std::uint64_t begin = 0;
  for (const SourceTensor& one : tensors) {
    const NamedTensor& tensor = one.tensor;
    const std::uint64_t end = begin + tensor.bytes();
    text.append(",").append(json_string(tensor.key)).append(R"(:{"dtype":")").append(to_string(tensor.kind));
    text.append(R"(","shape":[)").append(std::to_string(tensor.numel)).append(R"(],"data_offsets":[)");
    text.append(std::to_string(begin)).append(",").append(std::to_string(end)).append("]}");
    begin = end;
  }
  text += "}";
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  const std::uint64_t length = text.size() - kLengthBytes;
  if (length > kLongestHeader) {
    refuse_content("its header would have " + std::to_string(length) +
                   " bytes, but readers of safetensors take " + std::to_string(kLongestHeader) +
                   "; save fewer parameters in a file, or shorter schedules");
  }
  std::memcpy(text.data(), &length, sizeof length);
  return text;
}

/// Puts tensors of large elements first, so that all are aligned to their elements.
void align(std::vector<SourceTensor>& tensors) {
  std::ranges::stable_sort(tensors, std::ranges::greater{},
                           [](const SourceTensor& one) { return size_of(one.tensor.kind); });
}

/// Calls use(bytes) with the elements of a tensor, which may be on a GPU.
template <class Use>
void with_bytes(const SourceTensor& source, Stream stream, Use use) {
  const auto size = static_cast<std::size_t>(source.tensor.bytes());
  if (size == 0) return;
  if (!source.from.device.is_cuda())
    return use(std::span(static_cast<const std::byte*>(source.from.data), size));
  std::vector<std::byte> bytes(size);
  copy({Device::cpu(), bytes.data()}, source.from, size, stream);
  use(std::span<const std::byte>(bytes));
}

/// Checks the digits of a checksum against the bytes from the header's end on, and those before, which were
/// added without them.
void check_rest(const InputFile& file, std::uint64_t from, Checksum& sum, const std::string& digits) {
  std::vector<std::byte> buffer(std::size_t{1} << 20);
  for (std::uint64_t at = from; at < file.size();) {
    const std::span<std::byte> part(
        buffer.data(), static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), file.size() - at)));
    file.read(at, part);
    sum.add(part);
    at += part.size();
  }
  if (sum.digits() == digits) return;
  refuse_content("it is damaged: its checksum is " + digits + ", but that of its bytes is " + sum.digits());
}

Kind kind_of(const std::string& name, const std::string& place) {
  const auto found =
      std::ranges::find(kKinds, name, [](const KindName& one) { return std::string_view(one.name); });
  if (found == kKinds.end())
    refuse_content(place + " is " + onepass::quoted(name) + ", which no checkpoint has");
  return found->kind;
}

/// Returns a list of `count` whole numbers of at least 0.
std::vector<std::uint64_t> naturals(Fields& fields, const char* name, std::size_t count) {
  const Json& list = fields.list(name);
  if (list.size() != count) {
    refuse_content(fields.place_of(name) + " must have " + std::to_string(count) + " numbers, but has " +
                   std::to_string(list.size()));
  }
  std::vector<std::uint64_t> numbers;
  for (const Json& one : list) {
    const std::int64_t value = whole_number(one, fields.place_of(name));
    if (value < 0) refuse_content(fields.place_of(name) + " has the number " + std::to_string(value));
    numbers.push_back(static_cast<std::uint64_t>(value));
  }
  return numbers;
}

}  // namespace

std::size_t size_of(Kind kind) { return kind_name(kind).size; }

const char* to_string(Kind kind) { return kind_name(kind).name; }

void write_tensors(const std::filesystem::path& path, std::vector<SourceTensor> tensors,
                   const Metadata& metadata, Stream stream) {
  align(tensors);
  const std::string header = header_of(tensors, metadata);
  OutputFile file(path);
  Checksum sum;
  const auto add = [&](std::span<const std::byte> bytes) {
    file.append(bytes);
    sum.add(bytes);
  };
  add(bytes_of(header));
  for (const SourceTensor& one : tensors) with_bytes(one, stream, add);
  file.overwrite(kDigitsAt, bytes_of(sum.digits()));
  file.commit();
}

TensorFile::TensorFile(const std::filesystem::path& path) : file_(path) {
  parse_header(checked_header());
  check_ranges();
}

std::string TensorFile::checked_header() {
  const std::uint64_t size = file_.size();
  if (size < kDigitsAt + kZeroDigits.size()) {
    refuse_content("it is cut off, or no checkpoint: it has " + std::to_string(size) + " bytes");
  }
  std::uint64_t length = 0;
  file_.read(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > size - kLengthBytes || length > kLongestHeader ||
      kLengthBytes + length < kDigitsAt + kZeroDigits.size()) {
    refuse_content("it is cut off, or no checkpoint: its header should have " + std::to_string(length) +
                   " bytes, but the file has " + std::to_string(size));
  }
  data_at_ = kLengthBytes + length;
  std::string text(static_cast<std::size_t>(data_at_), '\0');
  file_.read(0, std::as_writable_bytes(std::span(text)));
  if (std::string_view(text).substr(kLengthBytes, kHeaderStart.size()) != kHeaderStart) {
    refuse_content("it is no checkpoint of onepass: its header does not begin with a checksum");
  }
  const std::string digits = text.substr(kDigitsAt, kZeroDigits.size());
  text.replace(kDigitsAt, kZeroDigits.size(), kZeroDigits);
  Checksum sum;
  sum.add(bytes_of(text));
  check_rest(file_, data_at_, sum, digits);
  return text.substr(kLengthBytes);
}

void TensorFile::parse_header(const std::string& header) {
  const Json json = parse(header, "its header");
  Fields fields(json, "its header");
  for (const auto& [key, value] : json.items()) {
    if (key == kMetadata) {
      Fields texts(value, kMetadata);
      for (const auto& [name, text] : value.items()) {
        if (!text.is_string()) refuse_content(texts.place_of(name) + " must be a text");
        if (name != kChecksum) metadata_[name] = text.get<std::string>();
      }
      continue;
    }
    Fields tensor(value, "its tensor " + onepass::quoted(key));
    const Kind kind = kind_of(tensor.text("dtype"), tensor.place_of("dtype"));
    const std::uint64_t numel = naturals(tensor, "shape", 1)[0];
    const std::vector<std::uint64_t> range = naturals(tensor, "data_offsets", 2);
    tensor.finish();
    // No product overflows: numel is below 2^63, and is compared before it is multiplied.
    if (range[0] > range[1] || numel != (range[1] - range[0]) / size_of(kind) ||
        (range[1] - range[0]) % size_of(kind) != 0) {
      refuse_content("its tensor " + onepass::quoted(key) + " has " + std::to_string(numel) +
                     " elements of " + to_string(kind) + ", but the bytes from " + std::to_string(range[0]) +
                     " to " + std::to_string(range[1]));
    }
    tensors_.emplace(key, Placed{{key, kind, static_cast<std::int64_t>(numel)}, range[0], range[1]});
  }
}

void TensorFile::check_ranges() const {
  std::vector<const Placed*> order;
  for (const auto& [key, one] : tensors_) order.push_back(&one);
  std::ranges::sort(order, {}, [](const Placed* one) { return std::pair(one->begin, one->end); });
  std::uint64_t at = 0;
  for (const Placed* one : order) {
    if (one->begin != at) {
      refuse_content("its tensor " + onepass::quoted(one->tensor.key) + " begins at byte " +
                     std::to_string(one->begin) + ", but the one before it ends at " + std::to_string(at));
    }
    at = one->end;
  }
  const std::uint64_t data = file_.size() - data_at_;
  if (at != data) {
    refuse_content("its tensors have " + std::to_string(at) + " bytes, but its data has " +
                   std::to_string(data));
  }
}

const TensorFile::Placed& TensorFile::placed(const std::string& key) const {
  const auto found = tensors_.find(key);
  if (found == tensors_.end()) refuse_content("it lacks the tensor " + onepass::quoted(key));
  return found->second;
}

const NamedTensor& TensorFile::find(const std::string& key) const { return placed(key).tensor; }

void TensorFile::read(const std::string& key, std::int64_t first, std::span<std::byte> bytes) const {
  if (bytes.empty()) return;
  const Placed& one = placed(key);
  file_.read(data_at_ + one.begin + static_cast<std::uint64_t>(first) * size_of(one.tensor.kind), bytes);
}

}  // namespace onepass::checkpoint

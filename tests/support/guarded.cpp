// guarded.cpp - see guarded.hpp.
#include "support/guarded.hpp"

#include "support/numbers/compare.hpp"

namespace onepass::test {
namespace {

constexpr std::int64_t kGuard = 64;  // floats on each side: more than one AVX-512 store past any tail
constexpr std::uint32_t kSentinel = 0x7fa5c3e1;  // a signalling NaN that no arithmetic produces

}  // namespace

GuardedBuffer::GuardedBuffer(Device device, std::int64_t numel, int misalignment)
    : numel_(numel),
      first_(kGuard + misalignment),
      buffer_(device, static_cast<std::size_t>(2 * kGuard + numel + misalignment) * sizeof(float)) {
  const std::vector<std::uint32_t> sentinels(buffer_.bytes() / sizeof(float), kSentinel);
  copy({device, buffer_.data()}, {Device::cpu(), sentinels.data()}, buffer_.bytes());
}

void GuardedBuffer::write(std::span<const float> values) {
  const Tensor all = tensor();
  copy({all.device, all.data}, {Device::cpu(), values.data()}, values.size_bytes());
}

std::vector<float> GuardedBuffer::read() const { return test::read(tensor()); }

testing::AssertionResult GuardedBuffer::intact() const {
  std::vector<std::uint32_t> bits(buffer_.bytes() / sizeof(float));
  copy({Device::cpu(), bits.data()}, {buffer_.device(), buffer_.data()}, buffer_.bytes());
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const std::int64_t index = static_cast<std::int64_t>(i) - first_;
    if ((index >= 0 && index < numel_) || bits[i] == kSentinel) continue;
    return testing::AssertionFailure()
           << "element " << index << ", outside of the " << numel_ << " elements, was overwritten with "
           << shown(std::bit_cast<float>(bits[i]));
  }
  return testing::AssertionSuccess();
}

std::vector<float> read(const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.numel));
  if (!values.empty()) copy({Device::cpu(), values.data()}, {tensor.device, tensor.data}, tensor.bytes());
  return values;
}

}  // namespace onepass::test

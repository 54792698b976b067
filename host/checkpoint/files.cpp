#include "host/checkpoint/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "host/check/sentence.hpp"

namespace onepass::checkpoint {
namespace {

using std::filesystem::path;

[[noreturn]] void fail_on(const path& file, const std::string& what) {
  throw FileError("onepass: " + onepass::quoted(file.string()) + " cannot be " + what);
}

/// The reason that errno has.
std::string reason() { return std::generic_category().message(errno); }

/// No call of the system moves more bytes at once.
constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;

/// Calls move(bytes, offset), which returns the bytes that it has moved, until all are moved. Returns false
/// if it fails, with errno, or at the end of the file, without.
template <class Byte, class Move>
bool move_all(std::span<Byte> bytes, std::uint64_t offset, Move move) {
  while (!bytes.empty()) {
    errno = 0;
    const ssize_t moved = move(bytes.first(std::min(bytes.size(), kMostAtOnce)), static_cast<off_t>(offset));
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return false;
    offset += static_cast<std::uint64_t>(moved);
    bytes = bytes.subspan(static_cast<std::size_t>(moved));
  }
  return true;
}

/// A name beside the file that no other save of this process or another one uses.
path beside(const path& file) {
  static std::atomic<unsigned> saves{0};
  path aside = file;
  aside += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(saves.fetch_add(1));
  return aside;
}

path folder_of(const path& file) { return file.has_parent_path() ? file.parent_path() : path("."); }

/// Flushes a folder, so that a file's new name outlives a loss of power. Some file systems cannot.
bool flush_folder(const path& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.number() < 0) return errno == EACCES;
  return ::fsync(descriptor.number()) == 0 || errno == EINVAL || errno == ENOTSUP;
}

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) (void)::close(number_);
}

Descriptor::Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

bool Descriptor::close() { return ::close(std::exchange(number_, -1)) == 0; }

InputFile::InputFile(std::filesystem::path file)
    : path_(std::move(file)), file_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (file_.number() < 0) fail_on(path_, "opened: " + reason());
  struct stat status {};
  if (::fstat(file_.number(), &status) != 0) fail_on(path_, "opened: " + reason());
  if (!S_ISREG(status.st_mode)) fail_on(path_, "opened: it is no regular file");
  size_ = static_cast<std::uint64_t>(status.st_size);
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  const bool is_read = move_all(bytes, offset, [this](std::span<std::byte> part, off_t from) {
    return ::pread(file_.number(), part.data(), part.size(), from);
  });
  if (!is_read) fail_on(path_, "read: " + (errno != 0 ? reason() : "it became shorter"));
}

OutputFile::OutputFile(std::filesystem::path file)
    : path_(std::move(file)),
      aside_(beside(path_)),
      file_(::open(aside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  if (file_.number() < 0) fail_on(path_, "written: " + reason());
}

OutputFile::~OutputFile() {
  if (!is_committed_) (void)::unlink(aside_.c_str());
}

void OutputFile::fail(const char* what) const { fail_on(path_, "written: " + std::string(what) + reason()); }

void OutputFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  const bool is_written = move_all(bytes, offset, [this](std::span<const std::byte> part, off_t to) {
    return ::pwrite(file_.number(), part.data(), part.size(), to);
  });
  if (!is_written) fail("");
}

void OutputFile::append(std::span<const std::byte> bytes) {
  write(size_, bytes);
  size_ += bytes.size();
}

void OutputFile::overwrite(std::uint64_t offset, std::span<const std::byte> bytes) { write(offset, bytes); }

void OutputFile::commit() {
  if (::fsync(file_.number()) != 0) fail("it cannot be flushed to the disk: ");
  if (!file_.close()) fail("it cannot be closed: ");
  if (::rename(aside_.c_str(), path_.c_str()) != 0) fail("");
  is_committed_ = true;
  if (!flush_folder(folder_of(path_))) fail("its folder cannot be flushed to the disk: ");
}

}  // namespace onepass::checkpoint

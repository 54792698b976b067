// write_test.cpp - a checkpoint that cannot be written or read leaves everything as it was.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "support/checkpoint/files.hpp"
#include "support/model.hpp"

namespace onepass::test {
namespace {

/// Succeeds if `action` throws FileError with these words.
template <class Action>
testing::AssertionResult fails(Action action, std::initializer_list<std::string> words) {
  try {
    action();
  } catch (const FileError& error) {
    const std::string sentence = error.what();
    for (const std::string& word : words) {
      if (sentence.find(word) == std::string::npos) {
        return testing::AssertionFailure() << "\"" << word << "\" is not in: " << sentence;
      }
    }
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "nothing was thrown";
}

/// The files that this process writes may have so many bytes. As on a full disk, the next byte is refused.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    (void)getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    (void)setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    (void)setrlimit(RLIMIT_FSIZE, &before_);
    (void)std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

class WritingACheckpoint : public testing::Test {
 protected:
  const Folder folder_;
  Model model_{std::vector<Shape>{{.numel = 3000}}};
  Optimizer optimizer_{AdamW{}, model_.parameters()};
};

TEST_F(WritingACheckpoint, ReplacesTheFileBefore) {
  save(folder_ / "run", optimizer_);
  train_finite(model_, optimizer_, 2);
  save(folder_ / "run", optimizer_);
  Optimizer other{AdamW{}, model_.parameters()};
  (void)load(folder_ / "run", other);
  EXPECT_EQ(other.steps(), 2);
  EXPECT_EQ(folder_.names(), "run ");
}

TEST_F(WritingACheckpoint, ThatHasNoRoomLeavesTheFileBefore) {
  save(folder_ / "run", optimizer_);
  const std::string before = bytes_of(folder_ / "run");
  train_finite(model_, optimizer_, 2);
  for (const rlim_t bytes :
       {rlim_t{0}, rlim_t{100}, rlim_t{20'000}, static_cast<rlim_t>(before.size() - 1)}) {
    const FileSizeLimit limit(bytes);
    EXPECT_TRUE(
        fails([&] { save(folder_ / "run", optimizer_); }, {"run\" cannot be written: File too large"}));
  }
  EXPECT_EQ(bytes_of(folder_ / "run"), before);
  EXPECT_EQ(folder_.names(), "run ");
}

TEST_F(WritingACheckpoint, WhereNoneCanBeFails) {
  EXPECT_TRUE(
      fails([&] { save(folder_ / "none/run", optimizer_); }, {"none/run\" cannot be written: No such file"}));
  write_bytes(folder_ / "file", "x");
  EXPECT_TRUE(fails([&] { save(folder_ / "file/run", optimizer_); }, {"cannot be written: Not a directory"}));
  std::filesystem::create_directories(folder_ / "folder/in");
  EXPECT_TRUE(fails([&] { save(folder_ / "folder", optimizer_); }, {"cannot be written: Is a directory"}));
  EXPECT_TRUE(std::filesystem::is_directory(folder_ / "folder/in"));
  if (::geteuid() != 0) {  // who may do everything may also write here
    std::filesystem::permissions(folder_ / "folder",
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    EXPECT_TRUE(fails([&] { save(folder_ / "folder/run", optimizer_); }, {"Permission denied"}));
    std::filesystem::permissions(folder_ / "folder", std::filesystem::perms::owner_all);
  }
  EXPECT_TRUE(folder_.names() == "file folder " || folder_.names() == "folder file ") << folder_.names();
}

TEST_F(WritingACheckpoint, WorksInTheCurrentFolder) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  save("run", optimizer_);
  (void)load("run", optimizer_);
  std::filesystem::current_path(before);
  EXPECT_EQ(folder_.names(), "run ");
}

TEST_F(WritingACheckpoint, ThatIsNoFileCannotBeRead) {
  EXPECT_TRUE(
      fails([&] { (void)load(folder_ / "none", optimizer_); }, {"none\" cannot be opened: No such file"}));
  EXPECT_TRUE(fails([&] { (void)load(folder_.path(), optimizer_); }, {"no regular file"}));
  EXPECT_TRUE(fails([&] { (void)load("/dev/zero", optimizer_); }, {"no regular file"}));
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);  // to open it must not wait for a writer
  EXPECT_TRUE(fails([&] { (void)load_metadata(folder_ / "pipe"); }, {"no regular file"}));
}

}  // namespace
}  // namespace onepass::test

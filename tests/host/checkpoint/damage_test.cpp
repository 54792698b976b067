// damage_test.cpp - a file that is damaged, cut off or made by an enemy is refused, and nothing changes.
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "support/checkpoint/files.hpp"
#include "support/model.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

using Json = nlohmann::ordered_json;

/// A small optimizer in the compact format beside one in float32, and a file of both.
class DamagedCheckpoint : public testing::Test {
 protected:
  void SetUp() override {
    optimizer_.step();
    save(folder_ / "run", optimizer_, {.metadata = {{"epoch", "3"}}});
    whole_ = bytes_of(folder_ / "run");
    values_.assign(40, 0x4000);  // another state than that of the file, to which a load must not get
    optimizer_.step();
    dict_ = optimizer_.state_dict();
    values_before_ = values_;
    flat_before_ = flat_;
  }

  /// Expects that a file of these bytes is refused with a sentence that has `words`, and changes nothing.
  void expect_refused(const std::string& bytes, std::initializer_list<std::string> words,
                      const LoadCheckpointOptions& options = {}) {
    write_bytes(folder_ / "damaged", bytes);
    ASSERT_TRUE(refused([&] { (void)load(folder_ / "damaged", optimizer_, options); }, words));
    ASSERT_TRUE(equal_dicts(dict_, optimizer_.state_dict()));
    ASSERT_EQ(values_, values_before_);
    ASSERT_EQ(flat_, flat_before_);
  }
  /// The same for the whole file with another header and a checksum that fits, also with all options.
  void expect_header_refused(const std::string& header, std::initializer_list<std::string> words) {
    expect_refused(file_of(header, data()), words);
    expect_refused(file_of(header, data()), {"cannot be loaded"},
                   {.missing = Missing::keep, .unexpected = Unexpected::ignore, .shards = true});
  }
  /// The same with the header's JSON changed.
  void expect_changed_refused(const std::function<void(Json&)>& change,
                              std::initializer_list<std::string> words) {
    Json header = Json::parse(header_of(whole_));
    change(header);
    expect_header_refused(header.dump(), words);
  }
  /// The same with the JSON of the metadata's document changed.
  void expect_document_refused(const std::function<void(Json&)>& change,
                               std::initializer_list<std::string> words) {
    expect_changed_refused(
        [&](Json& header) {
          Json document = Json::parse(header["__metadata__"]["onepass"].get<std::string>());
          change(document);
          header["__metadata__"]["onepass"] = document.dump();
        },
        words);
  }
  [[nodiscard]] std::string data() const { return whole_.substr(8 + header_of(whole_).size()); }

  const Folder folder_;
  std::vector<std::uint16_t> values_ = std::vector<std::uint16_t>(40, 0x3f80), grads_ = values_;
  std::vector<float> flat_{1, 2, 3}, flat_grads_{1, 1, 1};
  Optimizer optimizer_{AdamW{},
                       std::vector<Parameter>{{.name = "w",
                                               .value = {values_.data(), DType::bfloat16, 40},
                                               .grad = {grads_.data(), DType::bfloat16, 40}},
                                              {.name = "b", .value = flat_, .grad = flat_grads_}},
                       {.storage = {.master = Master::remainder8, .states = States::quantized8}}};
  std::string whole_;
  StateDict dict_;
  std::vector<std::uint16_t> values_before_;
  std::vector<float> flat_before_;
};

TEST_F(DamagedCheckpoint, IsRefusedWhateverByteIsDamaged) {
  for (std::size_t at = 0; at < whole_.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = whole_;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      expect_refused(damaged, {"damaged\" cannot be loaded"});
      ASSERT_FALSE(HasFatalFailure()) << "byte " << at << " of " << whole_.size() << ", flipped " << flip;
    }
  }
}

TEST_F(DamagedCheckpoint, IsRefusedWhateverItsLengthIs) {
  for (std::size_t length = 0; length < whole_.size(); ++length) {
    expect_refused(whole_.substr(0, length), {"damaged\" cannot be loaded: it is "});
    ASSERT_FALSE(HasFatalFailure()) << "cut off at " << length << " of " << whole_.size();
  }
  for (const std::size_t more : {1, 8, 4096}) expect_refused(whole_ + std::string(more, '\0'), {"checksum"});
}

TEST_F(DamagedCheckpoint, IsTakenAgainWithAChecksumThatFits) {
  // The tests of headers below would show nothing if their files were refused for another reason.
  const Json header = Json::parse(header_of(whole_));
  write_bytes(folder_ / "same", file_of(header.dump(), data()));
  EXPECT_EQ(load_metadata(folder_ / "same"), (CheckpointMetadata{{"epoch", "3"}}));
  (void)load(folder_ / "same", optimizer_);
  EXPECT_EQ(optimizer_.steps(), 1);
  EXPECT_EQ(bytes_of(folder_ / "run"), bytes_of(folder_ / "same"));
}

TEST_F(DamagedCheckpoint, WithAHeaderOfAnyLengthIsRefused) {
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{40}, whole_.size() - 7, std::uint64_t{100'000'001},
        std::uint64_t{1} << 63, ~std::uint64_t{0}, ~std::uint64_t{7}}) {
    std::string damaged = whole_;
    std::memcpy(damaged.data(), &length, sizeof length);
    damaged.replace(kDigitsAt, kDigits, checksum_of(damaged));
    expect_refused(damaged, {"header"});
  }
}

TEST_F(DamagedCheckpoint, ThatIsNoCheckpointIsRefused) {
  expect_refused("", {"cut off, or no checkpoint", "0 bytes"});
  expect_refused(std::string(100, '\0'), {"header", "0 bytes", "100"});
  expect_header_refused(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                        {"no checkpoint of onepass"});
  expect_changed_refused([](Json& header) { header["__metadata__"].erase("onepass"); },
                         {"lacks \"onepass\""});
  const std::string start = header_of(whole_).substr(0, 25 + 16 + 1);
  for (const char* const end : {"", "}", "}}x", ",}}", "}}}", ",\"a\":1}}", "},\"__metadata__\":{}}",
                                ",\"\xff\":\"\"}}", "},\"w\":NaN}", "},\"w\":1e999}"}) {
    expect_header_refused(start + end, {"cannot be loaded"});
    ASSERT_FALSE(HasFatalFailure()) << end;
  }
}

TEST_F(DamagedCheckpoint, OfDeepNestingIsRefused) {
  const std::string start = header_of(whole_).substr(0, 25 + 16 + 1);
  for (const std::size_t depth : {std::size_t{17}, std::size_t{1000}, std::size_t{1'000'000}}) {
    expect_header_refused(start + "},\"w\":" + std::string(depth, '['), {"nested"});
    std::string objects;
    for (std::size_t i = 0; i < depth; ++i) objects += "{\"\":";
    expect_header_refused(start + "},\"w\":" + objects, {"nested"});
    expect_changed_refused([&](Json& header) { header["__metadata__"]["onepass"] = std::string(depth, '['); },
                           {"nested"});
  }
}

TEST_F(DamagedCheckpoint, WithANameTwiceIsRefused) {
  std::string header = header_of(whole_);
  const std::size_t end = header.rfind('}');
  expect_header_refused(header.substr(0, end) + R"(,"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                        {"\"w\"", "twice"});
  expect_document_refused(
      [](Json& document) {
        Json& all = document["optimizers"][0]["parameters"];
        all.push_back(all[0]);
      },
      {"\"w\"", "twice"});
  // Two parameters may not have one tensor, and no tensor may be left.
  expect_document_refused(
      [](Json& document) {
        Json& all = document["optimizers"][0]["parameters"];
        all[0]["name"] = "b";
        all[1]["name"] = "b/exp_avg";
      },
      {"cannot be loaded"});
}

TEST_F(DamagedCheckpoint, WithRangesThatOverlapOrLeaveTheFileIsRefused) {
  const auto range = [this](const char* tensor, std::int64_t begin, std::int64_t end, std::int64_t numel,
                            std::initializer_list<std::string> words) {
    expect_changed_refused(
        [&](Json& header) {
          header[tensor]["data_offsets"] = {begin, end};
          header[tensor]["shape"] = {numel};
        },
        words);
  };
  const Json header = Json::parse(header_of(whole_));
  const std::int64_t size = static_cast<std::int64_t>(data().size());
  const std::int64_t begin = header["b"]["data_offsets"][0], end = header["b"]["data_offsets"][1];
  range("b", begin + 4, end, 2, {"begins at byte"});          // a hole before
  range("b", begin, end - 4, 2, {"begins at byte"});          // a hole behind
  range("b", begin, end + 4, 4, {"begins at byte"});          // overlaps the next
  range("w/exp_avg_sq", size - 40, size + 8, 48, {"bytes"});  // leaves the file
  range("b", end, begin, 3, {"\"b\"", "3 elements of F32"});  // ends before it begins
  range("b", -12, 0, 3, {"-12"});
  range("b", begin, end, -3, {"-3"});
  range("b", begin, end, std::int64_t{1} << 62, {"elements of F32"});  // 2^64 bytes
  range("b", begin, begin + 11, 3, {"elements of F32"});               // a part of an element
  expect_changed_refused([](Json& all) { all["b"]["data_offsets"] = {0}; }, {"2 numbers"});
  expect_changed_refused([](Json& all) { all["b"]["shape"] = {3, 1}; }, {"1 numbers"});
  expect_changed_refused([](Json& all) { all["b"]["data_offsets"] = {"0", "12"}; }, {"whole number"});
  expect_changed_refused([](Json& all) { all["b"]["data_offsets"][1] = 12.5; }, {"whole number"});
  expect_changed_refused([](Json& all) { all["b"]["data_offsets"][1] = ~std::uint64_t{0}; }, {"2^63"});
  expect_refused(file_of(header.dump(), data() + "12345678"), {"but its data has"});
  expect_refused(file_of(header.dump(), data().substr(0, data().size() - 8)), {"but its data has"});
}

TEST_F(DamagedCheckpoint, WithOtherTensorsThanItsMetadataSaysIsRefused) {
  expect_changed_refused([](Json& header) { header["b"]["dtype"] = "F64"; }, {"\"F64\""});
  expect_changed_refused([](Json& header) { header["b"]["dtype"] = 3; }, {"dtype"});
  expect_changed_refused([](Json& header) { header["w/exp_avg"]["dtype"] = "U8"; },
                         {"\"w/exp_avg\"", "U8", "I8"});
  expect_changed_refused([](Json& header) { header["b"]["color"] = "red"; }, {"members"});
  expect_changed_refused([](Json& header) { header["b"].erase("dtype"); }, {"lacks \"dtype\""});
  expect_changed_refused(
      [](Json& header) {
        header["other"] = header["b"];
        header.erase("b");
      },
      {"lacks the tensor \"b\""});
  expect_changed_refused(
      [](Json& header) {
        header["x"] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
      },
      {"10 tensors", "9"});
  expect_document_refused([](Json& all) { all["optimizers"][0]["parameters"][1]["numel"] = 2; },
                          {"\"b\"", "2 elements"});
  expect_document_refused([](Json& all) { all["optimizers"][0]["parameters"].erase(1); }, {"9 tensors", "6"});
}

TEST_F(DamagedCheckpoint, WithAnotherDocumentIsRefused) {
  expect_document_refused([](Json& all) { all["version"] = 2; }, {"version 2", "version 1"});
  expect_document_refused([](Json& all) { all["version"] = "1"; }, {"whole number"});
  expect_document_refused([](Json& all) { all.erase("version"); }, {"version"});
  expect_document_refused([](Json& all) { all["more"] = 1; }, {"members"});
  expect_document_refused([](Json& all) { all["optimizers"] = Json::array(); }, {"tensors"});
  expect_document_refused([](Json& all) { all["optimizers"].push_back(all["optimizers"][0]); }, {"twice"});
  expect_document_refused([](Json& all) { all = Json::array(); }, {"object"});
  const auto optimizer = [this](const std::function<void(Json&)>& change,
                                std::initializer_list<std::string> words) {
    expect_document_refused([&](Json& all) { change(all["optimizers"][0]); }, words);
  };
  for (const char* const count : {"steps", "skipped_steps", "micro_batches", "dropped_micro_batches",
                                  "dropped_since_step", "growth_tracker"}) {
    optimizer([&](Json& one) { one[count] = -1; }, {"-1"});
    optimizer([&](Json& one) { one[count] = (std::int64_t{1} << 53) + 1; }, {"9007199254740993"});
    optimizer([&](Json& one) { one[count] = "1"; }, {count, "string"});
    optimizer([&](Json& one) { one[count] = nullptr; }, {count, "null"});
    optimizer([&](Json& one) { one.erase(count); }, {count});
  }
  optimizer([](Json& one) { one["seed"] = -1; }, {"seed"});
  optimizer([](Json& one) { one["loss_scale"] = -2.0; }, {"loss scale"});
  optimizer([](Json& one) { one["loss_scale"] = 1e300; }, {"loss scale"});
  optimizer([](Json& one) { one["accumulated_weight"] = 5; }, {"weight"});
  optimizer([](Json& one) { one["window_scale"] = -1; }, {"loss scale"});
  optimizer([](Json& one) { one["groups"] = Json::array(); }, {"groups"});
  optimizer([](Json& one) { one["groups"].push_back(one["groups"][0]); }, {"2 groups"});
  optimizer([](Json& one) { one["groups"][0]["rule"] = "Adam"; }, {"\"Adam\"", "AdamW"});
  optimizer([](Json& one) { one["groups"][0]["hyperparameters"]["lr"] = "-1"; }, {"lr", "-1"});
  optimizer([](Json& one) { one["groups"][0]["hyperparameters"]["lr"] = 0.5; }, {"lr", "text"});
  optimizer([](Json& one) { one["groups"][0]["hyperparameters"]["speed"] = "1"; }, {"speed"});
  optimizer([](Json& one) { one["groups"][0]["hyperparameters"]["amsgrad"] = "true"; }, {"max_exp_avg_sq"});
  optimizer([](Json& one) { one["groups"][0]["schedule"]["segments"] = Json::array(); }, {"segments"});
  optimizer([](Json& one) { one["groups"][0]["schedule"]["segments"][0]["kind"] = 99; }, {"99"});
  optimizer([](Json& one) { one["groups"][0]["schedule"]["segments"][0]["stage"] = std::int64_t{1} << 40; },
            {"stage"});
  optimizer([](Json& one) { one["groups"][0]["schedule"]["segments"][0]["first_number"] = 1; }, {"numbers"});
  optimizer([](Json& one) { one["groups"][0]["schedule"]["segments"][0]["parameters"].push_back(0); },
            {"11"});
}

TEST_F(DamagedCheckpoint, WithOtherParametersIsRefused) {
  const auto parameter = [this](const std::function<void(Json&)>& change,
                                std::initializer_list<std::string> words) {
    expect_document_refused([&](Json& all) { change(all["optimizers"][0]["parameters"][0]); }, words);
  };
  parameter([](Json& one) { one["step"] = -1; }, {"-1", "\"w\""});
  parameter([](Json& one) { one["accumulated"] = -1; }, {"cannot be loaded"});
  parameter([](Json& one) { one["accumulated"] = 1; }, {"w/gradient_sum"});
  parameter([](Json& one) { one["group"] = 1; }, {"group", "\"w\""});
  parameter([](Json& one) { one["group"] = -1; }, {"group", "\"w\""});
  parameter([](Json& one) { one["first"] = 32; }, {"\"w\"", "lacks element 0"});
  parameter([](Json& one) { one["first"] = 1; }, {"\"w\"", "lacks element 0"});
  parameter([](Json& one) { one["first"] = -32; }, {"first", "at least 0"});
  parameter([](Json& one) { one["run"] = 1; }, {"run = 1 and pitch = 0"});
  parameter([](Json& one) { one["pitch"] = 64; }, {"run = 0 and pitch = 64"});
  parameter([](Json& one) { one["run"] = 7, one["pitch"] = 64; }, {"run must divide"});
  parameter([](Json& one) { one["run"] = 1, one["pitch"] = std::int64_t{1} << 60; }, {"2^53"});
  parameter([](Json& one) { one["first"] = std::int64_t{1} << 62; }, {"\"w\""});
  parameter([](Json& one) { one["numel"] = -40; }, {"numel"});
  parameter([](Json& one) { one["numel"] = std::int64_t{1} << 62; }, {"numel", "2^53"});
  parameter([](Json& one) { one["numel"] = std::int64_t{1} << 50; }, {"elements"});
  parameter([](Json& one) { one["dtype"] = "float64"; }, {"\"float64\"", "bfloat16"});
  parameter([](Json& one) { one["dtype"] = "float16"; }, {"\"w\"", "F16"});
  parameter([](Json& one) { one["master"] = "none"; }, {"tensors"});
  parameter([](Json& one) { one["state_format"] = "float32"; }, {"\"w/exp_avg"});
  parameter([](Json& one) { one["states"][0]["name"] = "exp_avg_sq"; }, {"exp_avg_sq"});
  parameter([](Json& one) { one["states"].erase(1); }, {"tensors"});
  parameter([](Json& one) { one["states"][0]["format"] = "float32"; }, {"\"w/exp_avg\"", "F32"});
  parameter([](Json& one) { one["states"][0]["format"] = "bfloat16"; }, {"format", "must be one of float32"});
  parameter([](Json& one) { one["states"][1]["nonnegative"] = false; }, {"I8", "U8"});
  parameter([](Json& one) { one["ema"] = "float32"; }, {"w/ema"});
  parameter([](Json& one) { one["name"] = 7; }, {"name"});
}

}  // namespace
}  // namespace onepass::test

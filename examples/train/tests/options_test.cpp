// options_test.cpp - the command line: what is understood, and the sentence for what is not.
#include "options.hpp"

#include "tests/support.hpp"

namespace train {
namespace {

Parsed parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "onepass-train");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

std::string refusal(const std::vector<const char*>& arguments) {
  return testing::sentence<UsageError>([&] { parse(arguments); });
}

TEST(Options, NothingGivenIsNothingChosen) {
  const CommandLine options = parse({}).options;
  EXPECT_FALSE(options.optimizer || options.hidden || options.batch_size || options.lr || options.seed);
  EXPECT_EQ(options.device, DeviceChoice::automatic);
  EXPECT_EQ(options.data, kDefaultData);
}

TEST(Options, AreUnderstood) {
  const CommandLine options =
      parse({"--optimizer", "amsgrad", "--hidden", "30,20", "--batch-size", "full", "--lr", "1e-3", "--seed",
             "0", "--epochs", "3", "--steps=4", "--device", "cpu", "--threads", "2", "--csv", "a.csv"})
          .options;
  EXPECT_EQ(options.optimizer, "amsgrad");
  EXPECT_EQ(options.hidden, (std::vector<std::int64_t>{30, 20}));
  EXPECT_EQ(options.batch_size, 0);
  EXPECT_EQ(options.lr, 1e-3);
  EXPECT_EQ(options.seed, 0u);
  EXPECT_EQ(options.epochs, 3);
  EXPECT_EQ(options.steps, 4);
  EXPECT_EQ(options.device, DeviceChoice::cpu);
  EXPECT_EQ(options.threads, 2);
  EXPECT_EQ(options.csv, "a.csv");
}

TEST(Options, HelpIsATextAndNamesEveryOptimizer) {
  const std::string text = parse({"--help"}).text;
  for (const char* name :
       {"sgd", "nesterov", "rmsprop-centered", "amsgrad", "adamw", "--resume", "--batch-size"}) {
    EXPECT_NE(text.find(name), std::string::npos) << name;
  }
}

TEST(Options, BadValuesAreNamedWithWhatWouldBeGood) {
  EXPECT_EQ(refusal({"--epochs", "0"}), "--epochs must be a whole number from 1 to 1000000, but is '0'");
  EXPECT_EQ(refusal({"--epochs", "2.5"}), "--epochs must be a whole number from 1 to 1000000, but is '2.5'");
  EXPECT_EQ(refusal({"--batch-size", "half"}),
            "--batch-size must be 'full' or a whole number from 1, but is 'half'");
  EXPECT_EQ(refusal({"--lr", "nan"}), "--lr must be a number that is not negative, but is 'nan'");
  EXPECT_EQ(refusal({"--lr=-1"}), "--lr must be a number that is not negative, but is '-1'");
  EXPECT_EQ(refusal({"--device", "tpu"}), "--device must be auto, cpu or cuda, but is 'tpu'");
  EXPECT_EQ(refusal({"--seed", "1x"}).rfind("--seed must be a whole number", 0), 0u);
  EXPECT_EQ(refusal({"--threads", "0"}), "--threads must be a whole number from 1 to 1024, but is '0'");
  for (const char* widths : {"", "0", "256,", ",", "a", "70000"}) {
    EXPECT_EQ(refusal({"--hidden", widths}).rfind("--hidden must be widths", 0), 0u) << widths;
  }
  EXPECT_EQ(refusal({"--optimizer", "lion"}).rfind("--optimizer must be one of sgd, momentum", 0), 0u);
}

TEST(Options, UnknownIncompleteAndRepeatedOnesAreRefused) {
  EXPECT_EQ(refusal({"--learning-rate", "1"}), "--learning-rate is not an option; see --help");
  EXPECT_EQ(refusal({"what"}), "what is not an option; see --help");
  EXPECT_NE(refusal({"--epochs"}).find("--epochs"), std::string::npos);
  EXPECT_NE(refusal({"--epochs", "1", "--epochs", "2"}).find("--epochs"), std::string::npos);
}

TEST(Options, CompareRefusesWhatItWouldIgnore) {
  EXPECT_EQ(refusal({"--compare", "--lr", "1"}), "--lr cannot be used with --compare");
  EXPECT_EQ(refusal({"--compare", "--save", "f"}), "--save cannot be used with --compare");
  EXPECT_TRUE(parse({"--compare", "--epochs", "1", "--hidden", "9"}).options.compare);
}

}  // namespace
}  // namespace train

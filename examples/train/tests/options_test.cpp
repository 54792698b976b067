// options_test.cpp - the command line: options that are read, and error messages for the others.
#include "options.hpp"

#include "model/initialisation.hpp"
#include "tests/support.hpp"
#include "training/hyperparameters.hpp"
#include "training/optimizer.hpp"
#include "training/precision.hpp"
#include "training/schedule.hpp"

namespace train {
namespace {

Parsed parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "onepass-train");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

std::string refusal(const std::vector<const char*>& arguments) {
  return testing::sentence<UsageError>([&] { parse(arguments); });
}

/// Returns the defaults, changed by the options.
Settings settings_of(const CommandLine& options) {
  Settings settings;
  apply(options.changes, settings);
  return settings;
}

TEST(Options, EmptyCommandLineLeavesTheDefaults) {
  const CommandLine options = parse({}).options;
  EXPECT_TRUE(options.changes.empty());
  EXPECT_TRUE(options.configurations.empty());
  EXPECT_EQ(options.device, DeviceChoice::automatic);
  EXPECT_EQ(options.data, kDefaultData);
}

TEST(Options, OptionsOfNetworkAndRunAreRead) {
  const CommandLine options =
      parse({"--optimizer", "amsgrad", "--hidden",  "30,20",        "--batch-size", "full",           "--lr",
             "1e-3",        "--seed",  "0",         "--activation", "tanh",         "--weight-decay", "0.25",
             "--epochs",    "3",       "--steps=4", "--device",     "cpu",          "--threads",      "2",
             "--csv",       "a.csv"})
          .options;
  const Settings settings = settings_of(options);
  EXPECT_EQ(settings.optimizer, "amsgrad");
  EXPECT_EQ(settings.hidden, (std::vector<std::int64_t>{30, 20}));
  EXPECT_EQ(settings.batch_size, 0);
  EXPECT_EQ(settings.lr, 1e-3);
  EXPECT_EQ(settings.weight_decay, 0.25);
  EXPECT_EQ(settings.activation, Activation::tanh);
  EXPECT_EQ(settings.seed, 0u);
  EXPECT_EQ(options.epochs, 3);
  EXPECT_EQ(options.steps, 4);
  EXPECT_EQ(options.device, DeviceChoice::cpu);
  EXPECT_EQ(options.threads, 2);
  EXPECT_EQ(options.csv, "a.csv");
}

TEST(Options, OptionsAroundTheStepAreRead) {
  const Settings settings =
      settings_of(parse({"--schedule",   "one-cycle", "--schedule-steps", "300",
                         "--warmup",     "20",        "--init",           "xavier-normal",
                         "--l1",         "1e-4",      "--l1-mode",        "subgradient",
                         "--dropout",    "0.25",      "--clip",           "1.5",
                         "--accumulate", "4",         "--clip-by",        "parameter",
                         "--sam",        "0.05"})
                      .options);
  EXPECT_EQ(settings.schedule, "one-cycle");
  EXPECT_EQ(settings.schedule_steps, 300);
  EXPECT_EQ(settings.warmup, 20);
  EXPECT_EQ(settings.init, "xavier-normal");
  EXPECT_EQ(settings.l1, 1e-4);
  EXPECT_EQ(settings.l1_mode, onepass::L1::subgradient);
  EXPECT_EQ(settings.dropout, 0.25);
  EXPECT_EQ(settings.clip, 1.5);
  EXPECT_TRUE(settings.clips_each);
  EXPECT_FALSE(settings_of(parse({"--clip-by", "all"}).options).clips_each);
  EXPECT_EQ(settings.sam, 0.05);
  const Settings slow = settings_of(parse({"--lookahead", "5", "--lookahead-alpha", "0.8"}).options);
  EXPECT_EQ(slow.lookahead, 5);
  EXPECT_EQ(slow.lookahead_alpha, 0.8);
  EXPECT_EQ(settings_of(parse({"--asam", "0.5"}).options).asam, 0.5);
  EXPECT_EQ(settings.accumulate, 4);
  EXPECT_EQ(settings_of(parse({"--warmup", "0", "--dropout", "0", "--l1", "0"}).options).warmup, 0);
}

TEST(Options, PrecisionAndRoundingAreRead) {
  for (const char* precision : {"f32", "bf16", "bf16-master", "bf16-split", "compact"}) {
    EXPECT_EQ(settings_of(parse({"--precision", precision}).options).precision, precision);
  }
  EXPECT_EQ(settings_of(parse({}).options).precision, "f32");
  EXPECT_EQ(settings_of(parse({}).options).rounding, onepass::Rounding::nearest);
  EXPECT_EQ(settings_of(parse({"--rounding", "stochastic"}).options).rounding, onepass::Rounding::stochastic);
  EXPECT_EQ(refusal({"--precision", "fp8"}),
            "--precision must be f32, bf16, bf16-master, bf16-split or compact, but is 'fp8'");
  EXPECT_EQ(refusal({"--rounding", "up"}), "--rounding must be nearest or stochastic, but is 'up'");
}

TEST(Options, EqualLayersCanBeGivenByWidthAndCount) {
  EXPECT_EQ(settings_of(parse({"--hidden", "9,64x3,5"}).options).hidden,
            (std::vector<std::int64_t>{9, 64, 64, 64, 5}));
  EXPECT_EQ(write_widths({9, 64, 64, 64, 5}), "9,64x3,5");
}

TEST(Options, ListNamesEveryChoice) {
  const std::string text = parse({"--list"}).text + "\n";
  std::size_t named = 0;
  for (const Setting& setting : setting_table()) {
    for (const Choice& choice : setting.choices) {
      EXPECT_TRUE(text.find("\n  " + choice.name + " ") != std::string::npos ||
                  text.find("\n  " + choice.name + "\n") != std::string::npos)
          << choice.name;
      Settings settings;
      setting.read(settings, choice.name);
      EXPECT_EQ(setting.write(settings), choice.name);
      ++named;
    }
  }
  const std::size_t l1_modes = 2;
  const std::size_t roundings = 2;
  const std::size_t clips = 2;
  std::size_t of_hyperparameters = 0;
  for (const Setting& setting : hyperparameter_settings()) of_hyperparameters += setting.choices.size();
  EXPECT_GE(of_hyperparameters, 4u);  // --weight-decay-mode and --epsilon
  EXPECT_EQ(named, optimizer_kinds().size() + l1_modes + precision_kinds().size() + roundings + clips +
                       schedule_kinds().size() + kActivations.size() + initialisations().size() +
                       of_hyperparameters);
}

TEST(Options, HelpNamesOptionsAndChoices) {
  const std::string text = parse({"--help"}).text;
  for (const char* name : {"sgd",
                           "nesterov",
                           "rmsprop-centered",
                           "amsgrad",
                           "adamw",
                           "--resume",
                           "--batch-size",
                           "sigmoid",
                           "--weight-decay",
                           "one-cycle",
                           "--schedule-steps",
                           "--warmup",
                           "orthogonal",
                           "--dropout",
                           "--clip",
                           "--accumulate",
                           "--l1-mode",
                           "compact",
                           "--rounding",
                           "--sam",
                           "--asam",
                           "--clip-by",
                           "--lookahead-alpha"}) {
    EXPECT_NE(text.find(name), std::string::npos) << name;
  }
}

TEST(Options, HelpExplainsTheHyperparametersUnderTheirHeading) {
  const std::string text = parse({"--help"}).text;
  const std::size_t heading = text.find("\nHyperparameters, for the optimizers that have them:\n");
  ASSERT_NE(heading, std::string::npos);
  for (const Setting& setting : setting_table()) {
    const std::string option = "\n  " + setting.option + " " + std::string(setting.value);
    const std::size_t at =
        std::min(text.find(option + " "), text.find(option + "\n"));  // A long one ends its line.
    ASSERT_NE(at, std::string::npos) << setting.option;
    EXPECT_EQ(at > heading, !setting.heading.empty()) << setting.option;
    EXPECT_NE(text.find(setting.help, at), std::string::npos) << setting.option;
  }
  const auto help_of = [](const char* option) { return find_setting(option)->help; };
  EXPECT_EQ(help_of("--trust-coeff"),
            "Share of ||p|| that a step of rate 1 moves. Range: >= 0. Default: 0.001 for lars");
  EXPECT_EQ(help_of("--maximize"), "Ascends instead of descending. Default: false");
  EXPECT_EQ(help_of("--epsilon"),
            "Position of eps: inside the root, or outside as in PyTorch. Choices: inside_root or "
            "outside_root. Default: inside_root for rmsprop and rmsprop-centered");
  EXPECT_EQ(help_of("--eps").rfind("RMSProp: Squared gradient units inside the root", 0), 0u);
}

TEST(Options, HyperparametersAreRead) {
  const Settings settings =
      settings_of(parse({"--optimizer", "rmsprop", "--momentum", "0.5", "--centered", "true", "--epsilon",
                         "outside_root", "--weight-decay-mode", "decoupled"})
                      .options);
  const onepass::Rule rule = make_rule(settings);
  EXPECT_EQ(rule.get("momentum"), 0.5);
  EXPECT_EQ(rule.text("centered"), "true");
  EXPECT_EQ(rule.text("epsilon"), "outside_root");
  EXPECT_EQ(rule.text("weight_decay_mode"), "decoupled");
}

TEST(Options, HyperparametersAreCheckedAgainstTheOptimizerOfEveryRun) {
  EXPECT_EQ(refusal({"--optimizer", "sgd", "--beta1", "0.5"}),
            "--beta1: sgd has no beta1; it has lr, momentum, dampening, nesterov, weight_decay, "
            "weight_decay_mode, l1, l1_mode, maximize");
  EXPECT_EQ(refusal({"--beta1", "1.5"}), "--beta1: AdamW.beta1 must lie in [0, 1), but is 1.5");
  EXPECT_EQ(refusal({"--compare", "adam", "sgd", "--beta1", "0.5"})
                .rfind("--compare, in 'SGD': --beta1: sgd has no beta1", 0),
            0u);
  EXPECT_EQ(refusal({"--compare", "a: --beta1 2", "b:"}),
            "--compare, in 'a': --beta1: AdamW.beta1 must lie in [0, 1), but is 2");
  EXPECT_EQ(parse({"--compare", "adam", "adamw", "--beta1", "0.5"}).options.configurations.size(), 2u);
  // The optimizer of a resumed run is not known yet.
  EXPECT_EQ(parse({"--resume", "run", "--momentum", "0.5"}).options.changes.size(), 1u);
}

TEST(Options, BadValuesAreRefusedWithTheAllowedOnes) {
  EXPECT_EQ(refusal({"--epochs", "0"}), "--epochs must be a whole number from 1 to 1000000, but is '0'");
  EXPECT_EQ(refusal({"--epochs", "2.5"}), "--epochs must be a whole number from 1 to 1000000, but is '2.5'");
  EXPECT_EQ(refusal({"--batch-size", "half"}),
            "--batch-size must be 'full' or a whole number from 1, but is 'half'");
  EXPECT_EQ(refusal({"--lr", "nan"}), "--lr must be a number that is not negative, but is 'nan'");
  EXPECT_EQ(refusal({"--lr=-1"}), "--lr must be a number that is not negative, but is '-1'");
  EXPECT_EQ(refusal({"--device", "tpu"}), "--device must be auto, cpu or cuda, but is 'tpu'");
  EXPECT_EQ(refusal({"--seed", "1x"}).rfind("--seed must be a whole number", 0), 0u);
  EXPECT_EQ(refusal({"--threads", "0"}), "--threads must be a whole number from 1 to 1024, but is '0'");
  for (const char* widths :
       {"", "0", "256,", ",", "a", "70000", "64x", "x3", "64x0", "64x3x3", "64x1001", "9,64x1000"}) {
    EXPECT_EQ(refusal({"--hidden", widths}).rfind("--hidden must be at most 1000 widths", 0), 0u) << widths;
  }
  EXPECT_EQ(refusal({"--activation", "gelu"}), "--activation must be relu, tanh or sigmoid, but is 'gelu'");
  EXPECT_EQ(refusal({"--schedule", "cos"}).rfind("--schedule must be constant, step, linear", 0), 0u);
  EXPECT_EQ(refusal({"--init", "he"}).rfind("--init must be he-uniform, he-normal", 0), 0u);
  EXPECT_EQ(refusal({"--l1-mode", "l2"}), "--l1-mode must be proximal or subgradient, but is 'l2'");
  EXPECT_EQ(refusal({"--clip-by", "layer"}), "--clip-by must be all or parameter, but is 'layer'");
  EXPECT_EQ(refusal({"--l1=-1"}), "--l1 must be a number that is not negative, but is '-1'");
  for (const char* share : {"1", "-0.1", "nan", "half"}) {
    EXPECT_EQ(refusal({"--dropout", share}).rfind("--dropout must be a number from 0 to less than 1", 0), 0u);
  }
  for (const char* norm : {"0", "inf", "nan", "-1"}) {
    EXPECT_EQ(refusal({"--clip", norm}).rfind("--clip must be a number above 0", 0), 0u) << norm;
  }
  EXPECT_EQ(refusal({"--lookahead=-1"}).rfind("--lookahead must be a whole number from 0", 0), 0u);
  EXPECT_EQ(refusal({"--lookahead-alpha", "0"}), "--lookahead-alpha must be a number above 0, but is '0'");
  for (const char* share : {"1.5", "1e-60"}) {
    EXPECT_EQ(refusal({"--lookahead-alpha", share}),
              std::string("--lookahead-alpha must be a number above 0 in float32, and at most 1, but is '") +
                  share + "'");
  }
  for (const std::string option : {"--sam", "--asam"}) {
    for (const char* rho : {"-0.1", "nan", "inf", "far"}) {
      EXPECT_EQ(refusal({option.c_str(), rho}),
                option + " must be a number that is not negative, but is '" + rho + "'");
    }
    EXPECT_EQ(refusal({option.c_str(), "1e39"}), option + " must be finite in float32, but is '1e39'");
  }
  EXPECT_EQ(refusal({"--accumulate", "0"}).rfind("--accumulate must be a whole number from 1", 0), 0u);
  EXPECT_EQ(refusal({"--warmup=-1"}).rfind("--warmup must be a whole number from 0", 0), 0u);
  EXPECT_EQ(refusal({"--schedule-steps", "0"}).rfind("--schedule-steps must be a whole number from 1", 0),
            0u);
  EXPECT_EQ(refusal({"--optimizer", "none"}).rfind("--optimizer must be sgd, momentum", 0), 0u);
}

// A shell gives an empty text for a variable that is not set.
TEST(Options, EmptyValuesAreRefusedByEveryOption) {
  EXPECT_EQ(refusal({"--resume", ""}), "--resume must be a file, but is ''");
  EXPECT_EQ(refusal({"--save", ""}), "--save must be a file, but is ''");
  EXPECT_NE(refusal({"--save="}).find("--save"), std::string::npos);
  EXPECT_EQ(refusal({"--csv", ""}), "--csv must be a file, but is ''");
  EXPECT_EQ(refusal({"--plot", ""}), "--plot must be a file, but is ''");
  EXPECT_EQ(refusal({"--data", ""}), "--data must be a folder, but is ''");
  EXPECT_EQ(refusal({"--compare", ""}).rfind("--compare must be the names of optimizers", 0), 0u);
  EXPECT_EQ(refusal({"--compare="}).rfind("--compare must be the names of optimizers", 0), 0u);
  EXPECT_EQ(refusal({"--compare", "sgd", ""}).rfind("--compare must be the names of optimizers", 0), 0u);
  for (const char* option : {"--epochs", "--steps", "--device", "--threads"}) {
    EXPECT_NE(refusal({option, ""}).find(option), std::string::npos) << option;
  }
  for (const Setting& setting : setting_table()) {
    const std::string refused = refusal({"--optimizer", "rmsprop", setting.option.c_str(), ""});
    EXPECT_NE(refused.find("--"), std::string::npos) << setting.option;
  }
}

TEST(Options, UnknownIncompleteAndRepeatedOptionsAreRefused) {
  EXPECT_EQ(refusal({"--learning-rate", "1"}), "--learning-rate is not an option; see --help");
  EXPECT_EQ(refusal({"what"}), "what is not an option; see --help");
  EXPECT_NE(refusal({"--epochs"}).find("--epochs"), std::string::npos);
  EXPECT_NE(refusal({"--epochs", "1", "--epochs", "2"}).find("--epochs"), std::string::npos);
}

TEST(Options, CompareTakesOptimizersByName) {
  const auto labels = [](const std::vector<const char*>& arguments) {
    std::string labels;
    for (const Configuration& one : parse(arguments).options.configurations) labels += one.label + ";";
    return labels;
  };
  EXPECT_EQ(labels({"--compare"}), "SGD;Momentum;RMSProp;Adam;AdamW;");
  EXPECT_EQ(labels({"--compare", "--epochs", "1"}), "SGD;Momentum;RMSProp;Adam;AdamW;");
  EXPECT_EQ(labels({"--compare", "nesterov", "sgd", "--epochs", "1"}), "Nesterov;SGD;");
  EXPECT_EQ(parse({"--compare", "amsgrad"}).options.configurations.front().changes.front().text, "amsgrad");
}

TEST(Options, CompareTakesLabelledOptionsOverTheCommonOnes) {
  const CommandLine options = parse({"--lr", "0.5", "--compare", "plain:", "deep : --hidden 9x3  --lr=0.25",
                                     "tanh: --activation tanh", "--epochs", "1"})
                                  .options;
  ASSERT_EQ(options.configurations.size(), 3u);
  EXPECT_EQ(options.configurations[1].label, "deep");
  EXPECT_EQ(options.epochs, 1);
  Settings deep = settings_of(options);
  EXPECT_EQ(deep.lr, 0.5);
  apply(options.configurations[1].changes, deep);
  EXPECT_EQ(deep.lr, 0.25);
  EXPECT_EQ(deep.hidden, (std::vector<std::int64_t>{9, 9, 9}));
  EXPECT_TRUE(options.configurations[0].changes.empty());
}

TEST(Options, CompareRefusesOptionsThatItWouldIgnore) {
  EXPECT_EQ(refusal({"--compare", "--optimizer", "sgd"}),
            "--optimizer has no effect here: every configuration of --compare has its own");
  EXPECT_EQ(refusal({"--lr", "1", "--compare", "a: --lr 1", "b: --lr 2"}),
            "--lr has no effect here: every configuration of --compare has its own");
  EXPECT_EQ(parse({"--lr", "1", "--compare", "a: --lr 1", "b:"}).options.configurations.size(), 2u);
  EXPECT_EQ(refusal({"--compare", "--save", "f"}), "--save cannot be used with --compare");
  EXPECT_EQ(refusal({"--compare", "--resume", "f"}), "--resume cannot be used with --compare");
}

TEST(Options, CompareRefusesConfigurationsThatItCannotRead) {
  EXPECT_EQ(refusal({"--compare", "he --lr 1"}),
            "--compare must be the names of optimizers or of the form 'LABEL: --option value ...', but is "
            "'he --lr 1'");
  EXPECT_EQ(refusal({"--compare", ": --lr 1"}).rfind("--compare must be the names", 0), 0u);
  EXPECT_EQ(refusal({"--compare", "a: --lr x"}),
            "--compare, in 'a': --lr must be a number that is not negative, but is 'x'");
  EXPECT_EQ(refusal({"--compare", "a: --epochs 2"}),
            "--compare, in 'a': --epochs is not an option; see --help");
  EXPECT_EQ(refusal({"--compare", "a: --help"}), "--compare, in 'a': --help is not an option; see --help");
  EXPECT_EQ(refusal({"--compare", "a: --lr 1", "a: --lr 2"}), "--compare has two configurations named 'a'");
  EXPECT_EQ(refusal({"--compare", "sgd", "sgd"}), "--compare has two configurations named 'SGD'");
}

}  // namespace
}  // namespace train

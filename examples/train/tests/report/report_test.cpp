// report_test.cpp - the table, the CSV file and the picture of finished and diverged runs.
#include "report/report.hpp"

#include <cmath>
#include <fstream>
#include <iterator>

#include "tests/support.hpp"

namespace train {
namespace {

/// A run of four steps in two epochs.
Run finished(std::string label, double lr = 0.1) {
  Run run{.label = std::move(label), .lr = lr, .history = {}, .steps_per_epoch = 2};
  run.history.losses = {2.0, 1.0, 0.5, 0.25};
  run.history.rates = std::vector<double>(4, lr);
  run.history.epochs = {
      {.epoch = 1, .last_step = 2, .train = {0.5, 1.0}, .test = {0.25, 1.5}, .seconds = 1.0},
      {.epoch = 2,
       .last_step = 4,
       .train = {0.875, 0.375},
       .test = {0.75, 0.5},
       .penalty = 0.0625,
       .seconds = 1.0}};
  run.history.zero_weights = {.zero = 1, .all = 8};
  run.bytes_per_parameter = 7.125;
  return run;
}

/// A run of two steps whose third loss is NaN.
Run diverged(std::string label, double last_loss = 1e9) {
  Run run{.label = std::move(label), .lr = 8.0, .history = {}, .steps_per_epoch = 2};
  run.history.losses = {2.0, last_loss};
  run.history.rates = {8.0, 8.0};
  run.history.divergence = {.step = 3, .loss = -NAN};
  return run;
}

std::string line_of(const std::string& text, const std::string& start) {
  const std::size_t at = text.find("\n" + start);
  return at == std::string::npos ? "" : text.substr(at + 1, text.find('\n', at + 1) - at - 1);
}

TEST(Table, ContainsAccuracyAndLossOfBothSetsZerosAndBytes) {
  const std::string line = line_of(table({finished("plain")}, "by hand"), "plain");
  for (const char* part : {"0.1", "87.50 %", "75.00 %", "0.3750", "0.5000", "12.50 %", " 7.125 "}) {
    EXPECT_NE(line.find(part), std::string::npos) << part << " in: " << line;
  }
}

TEST(Table, SaysWhereARunDiverged) {
  const std::string text = table({finished("a long label, longer than most"), diverged("wild")}, "by hand");
  EXPECT_NE(line_of(text, "wild").find("8 diverged at step 3: the loss is nan"), std::string::npos) << text;
}

TEST(MemoryText, NamesEveryStream) {
  EXPECT_EQ(memory_text({{"param", 20.0}, {"grad", 20.0}, {"exp_avg", 10.625}}, 10),
            "5.0625 bytes a parameter: param 2, grad 2, exp_avg 1.0625");
}

TEST(LossText, TextStaysShort) {
  EXPECT_EQ(loss_text(0.31274), "0.3127");
  EXPECT_EQ(loss_text(1.234e30), "1.23e+30");
  EXPECT_EQ(loss_text(INFINITY), "inf");
  EXPECT_EQ(loss_text(-NAN), "nan");
}

TEST(Csv, HasALineForEachStepAndQuotesLabels) {
  const testing::Folder folder;
  write_csv({finished("a, \"b\""), diverged("wild")}, folder / "loss.csv");
  std::ifstream file(folder / "loss.csv");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text,
            "run,epoch,step,lr,batch_loss,train_accuracy,train_loss,test_accuracy,test_loss,penalty\n"
            "\"a, \"\"b\"\"\",1,1,0.1,2,,,,,\n"
            "\"a, \"\"b\"\"\",1,2,0.1,1,0.5,1,0.25,1.5,0\n"
            "\"a, \"\"b\"\"\",2,3,0.1,0.5,,,,,\n"
            "\"a, \"\"b\"\"\",2,4,0.1,0.25,0.875,0.375,0.75,0.5,0.0625\n"
            "wild,1,1,8,2,,,,,\n"
            "wild,1,2,8,1000000000,,,,,\n"
            "wild,2,3,,nan,,,,,\n");
}

TEST(Picture, HasThreePanelsAndAKeyForEachRun) {
  const Figure figure = figure_of({finished("one"), finished("two")}, "subtitle");
  ASSERT_EQ(figure.panels.size(), 3u);
  EXPECT_EQ(figure.panels[0].curves.size(), 2u);
  EXPECT_EQ(figure.panels[1].curves.size(), 4u);  // training and test
  EXPECT_EQ(figure.panels[2].curves.size(), 2u);
  EXPECT_EQ(figure.keys[1].label, "two");
  EXPECT_EQ(figure.keys[1].note, "test 75.0 %");
  const Curve& test = figure.panels[1].curves[3];
  EXPECT_EQ(test.style, Curve::Style::line);
  EXPECT_EQ(test.points.back().y, 75.0);
  EXPECT_EQ(test.points.back().x, 2.0);
  EXPECT_EQ(figure.panels[1].curves[1].points.back().y, 87.5);
  EXPECT_EQ(figure.panels[2].curves[0].points.front().y, 0.1);
}

TEST(Picture, MarksWhereARunDivergedAndKeepsTheOthersReadable) {
  const Figure figure = figure_of({finished("tame"), diverged("wild")}, "");
  EXPECT_EQ(figure.keys[1].note, "diverged at step 3");
  EXPECT_TRUE(figure.panels[0].curves[1].breaks_off);
  EXPECT_TRUE(figure.panels[2].curves[1].breaks_off);
  EXPECT_FALSE(figure.panels[0].curves[0].breaks_off);
  EXPECT_EQ(figure.panels[0].y.high, 8.0);  // rather than 1e9
  EXPECT_NE(figure.panels[0].title.find("cut off"), std::string::npos);
  // A run whose first loss is not finite has a key and empty curves.
  train::Run never = diverged("never");
  never.history.losses.clear();
  never.history.rates.clear();
  never.history.divergence = {.step = 1, .loss = INFINITY};
  const std::string svg = render_svg(figure_of({never}, ""));
  EXPECT_NE(svg.find("diverged at step 1"), std::string::npos);
}

TEST(Picture, AxesCountStepsInShortRunsAndEpochsIfTheirLengthsDiffer) {
  EXPECT_EQ(figure_of({finished("two epochs")}, "").panels[0].x.label, "epochs");
  train::Run brief = finished("brief");
  brief.steps_per_epoch = 100;
  brief.history.epochs.clear();
  const Figure steps = figure_of({brief}, "");
  EXPECT_EQ(steps.panels[0].x.label, "steps");
  EXPECT_EQ(steps.panels[0].curves[0].points.back().x, 4.0);
  train::Run other = brief;
  other.steps_per_epoch = 50;
  EXPECT_EQ(figure_of({brief, other}, "").panels[0].x.label, "epochs");
}

TEST(Picture, RatesOfDifferentSizeHaveALogarithmicAxis) {
  const auto spacing = [](double one, double other) {
    return figure_of({finished("one", one), finished("other", other)}, "").panels[2].y.spacing;
  };
  EXPECT_EQ(spacing(0.1, 0.1), Axis::Spacing::linear);
  EXPECT_EQ(spacing(0.1, 0.001), Axis::Spacing::logarithmic);
}

}  // namespace
}  // namespace train

// faults_test.cpp - tests that each fault is reported at its line and fails the call, and its correct twin is
// not.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "runtime/process.hpp"
#include "tests/faults/faults.hpp"

void PrintTo(const FaultCase& fault, std::ostream* out) { *out << fault.name; }

namespace {

struct Line {
  std::string file;
  int number = 0;
};

/// Returns the line that ends with the comment "FAULT: name".
Line faulty_line(const std::string& name) {
  for (const std::string file : {"device_faults.cu", "stream_faults.cu"}) {
    std::ifstream source(std::string(CUDA_EMULATOR_FAULTS_DIR) + "/" + file);
    std::string text;
    for (int number = 1; std::getline(source, text); ++number) {
      if (text.ends_with("// FAULT: " + name)) return {file, number};
    }
  }
  return {};
}

/// Returns "class|file|line|where|what" for each distinct finding since the last call.
std::vector<std::string> take_findings() {
  std::string text(1 << 20, '\0');
  text.resize(cuda_emulator_take_findings(text.data(), text.size()));
  std::vector<std::string> findings;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) findings.push_back(line);
  return findings;
}

std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::vector<FaultCase> all_faults() {
  std::vector<FaultCase> all = device_faults();
  for (const FaultCase& more : stream_faults()) all.push_back(more);
  return all;
}

class Fault : public testing::TestWithParam<FaultCase> {
 protected:
  void TearDown() override {
    cudaDeviceSynchronize();
    cudaGetLastError();
    take_findings();
  }
};

TEST_P(Fault, IsReportedAtItsLineAndFailsTheCall) {
  const FaultCase& fault = GetParam();
  const Line line = faulty_line(fault.name);
  ASSERT_NE(line.number, 0);
  EXPECT_NE(fault.run(true), cudaSuccess);
  EXPECT_GT(cuda_emulator_findings(), 0u);
  const std::string place = line.file + "|" + std::to_string(line.number) + "|";
  const std::string spelled = line.file + ":" + std::to_string(line.number);
  const std::vector<std::string> findings = take_findings();
  bool found = false;
  for (const std::string& finding : findings) {
    const bool here = finding.find(place) != std::string::npos || finding.find(spelled) != std::string::npos;
    found = found || (finding.starts_with(fault.finding + "|") && here);
  }
  EXPECT_TRUE(found) << "expected '" << fault.finding << "' at " << place << ", got:\n" << join(findings);
}

TEST_P(Fault, CorrectTwinIsSilent) {
  EXPECT_EQ(GetParam().run(false), cudaSuccess);
  EXPECT_EQ(join(take_findings()), "");
}

std::string test_name(const testing::TestParamInfo<FaultCase>& info) {
  return info.param.name + "_" + std::to_string(info.index);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Fault, testing::ValuesIn(all_faults()), test_name);

TEST(Process, HostReadOfDeviceMemoryEndsTheProcessWithAReason) {
  const Buffer memory(64);
  EXPECT_DEATH({ std::printf("%f", static_cast<double>(*memory.floats())); },
               "host code touches device memory");
}

TEST(Process, LeakFailsTheProcess) {
  const auto leak = [] {
    void* memory = nullptr;
    cudaMalloc(&memory, 1234);
    std::exit(0);
  };
  EXPECT_EXIT(leak(), testing::ExitedWithCode(99), "1234 bytes of cudaMalloc");
}

TEST(Process, QueuedFreeIsNotALeak) {
  const auto free_late = [] {
    void* memory = nullptr;
    cudaMallocAsync(&memory, 1234, nullptr);
    cudaFreeAsync(memory, nullptr);
    std::exit(0);
  };
  EXPECT_EXIT(free_late(), testing::ExitedWithCode(0), "");
}

TEST(Process, FindingFailsTheProcessEvenIfItsTestPasses) {
  const auto fault = [] {
    device_faults().front().run(true);
    std::exit(0);
  };
  EXPECT_EXIT(fault(), testing::ExitedWithCode(99), "the process fails");
}

}  // namespace

// schedule_test.cpp - schedules, and the functions that they use, give the same bits on the device as on the
// host.
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kernels/cuda_test.hpp"
#include "kernels/on_device.hpp"
#include "kernels/shared/schedule_kernels.hpp"
#include "schedules/golden_schedules.hpp"
#include "support/numbers/values.hpp"

namespace onepass::test {
namespace {

class CudaSchedule : public CudaTest {};

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

std::vector<Rates> rates_on_device(const Schedule& schedule, double base_lr,
                                   const std::vector<std::int64_t>& steps) {
  const OnDevice<schedule::Segment> segments(schedule.segments());
  const OnDevice<double> numbers(schedule.numbers());
  const OnDevice<std::int64_t> device_steps(steps);
  const OnDevice<Rates> rates(steps.size());
  evaluate_on_device({segments.get(), schedule.view().segment_count, numbers.get()}, base_lr,
                     device_steps.get(), rates.get(), static_cast<int>(steps.size()));
  return rates.read(steps.size());
}

void expect_same_rates(const NamedSchedule& one, double base_lr, const std::vector<std::int64_t>& steps) {
  const std::vector<Rates> actual = rates_on_device(one.schedule, base_lr, steps);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Rates wanted = one.schedule.rates(base_lr, steps[i]);
    ASSERT_TRUE(same(wanted.lr, actual[i].lr) && same(wanted.momentum, actual[i].momentum) &&
                wanted.drives_momentum == actual[i].drives_momentum)
        << one.name << " at step " << steps[i] << ": expected " << wanted.lr << " and " << wanted.momentum
        << ", is " << actual[i].lr << " and " << actual[i].momentum;
  }
}

TEST_F(CudaSchedule, EveryScheduleGivesTheBitsOfTheHost) {
  std::vector<std::int64_t> steps;
  for (std::int64_t t = -1; t < 600; ++t) steps.push_back(t);
  for (std::int64_t t = 600; t < 10'100; t += 19) steps.push_back(t);
  steps.insert(steps.end(),
               {std::int64_t{1} << 31, std::int64_t{1} << 53, std::numeric_limits<std::int64_t>::max()});
  for (const NamedSchedule& one : golden_schedules()) expect_same_rates(one, 0.3, steps);
  for (const NamedSchedule& one : schedules_of_ours()) expect_same_rates(one, 0.3, steps);
}

TEST_F(CudaSchedule, CompositionsOfCompositionsGiveTheBitsOfTheHost) {
  const std::vector<NamedSchedule> all = golden_schedules();
  std::vector<std::int64_t> steps;
  for (std::int64_t t = 0; t < 400; t += 3) steps.push_back(t);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Schedule& second = all[(i * 7 + 3) % all.size()].schedule;
    const Schedule sequence = SequentialLR{{all[i].schedule, second}, {200}};
    expect_same_rates({all[i].name, ChainedScheduler{{second, sequence, sequence}}}, 1e-3, steps);
  }
}

TEST_F(CudaSchedule, FunctionsGiveTheBitsOfTheHost) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> odd{0.0,    -0.0,       1.0,    -1.0,   0.5,    1.5,     kInf,      -kInf,
                                kNaN,   0x1p-1074,  709.78, 709.79, -745.1, -745.2,  0x1p-1022, 0x1p1023,
                                0x1p53, 0x1p53 - 1, 1e300,  -1e300, -708.5, -740.25, 2.0,       0.25};
  std::vector<double> x, y;
  for (const double a : odd) {
    for (const double b : odd) {
      x.push_back(a);
      y.push_back(b);
    }
  }
  for (std::uint64_t key = 0; key < 4000; ++key) {
    const double sign = (mix(key) & 1) != 0 ? 1.0 : -1.0;
    x.push_back(key % 4 == 0
                    ? sign * uniform(2 * key)
                    : sign * std::ldexp(1.0 + uniform(2 * key), static_cast<int>(key % 2000) - 1030));
    y.push_back(key % 3 == 0 ? 4.0 * uniform(2 * key + 1) : 800.0 * (uniform(2 * key + 1) - 0.5));
    x.push_back(1500.0 * uniform(2 * key) - 750.0);  // in this range exp is neither 0 nor infinite
    y.push_back(0.5);
  }
  const OnDevice<double> device_x(x), device_y(y);
  const OnDevice<MathResults> results(x.size());
  math_on_device(device_x.get(), device_y.get(), results.get(), static_cast<int>(x.size()));
  const std::vector<MathResults> actual = results.read(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const MathResults wanted = MathResults::at(x[i], y[i]);
    EXPECT_TRUE(same(wanted.exp, actual[i].exp)) << "exp " << x[i];
    EXPECT_TRUE(same(wanted.log, actual[i].log)) << "log " << x[i];
    EXPECT_TRUE(same(wanted.pow, actual[i].pow)) << "pow " << x[i] << ", " << y[i];
    EXPECT_TRUE(same(wanted.sinpi, actual[i].sinpi)) << "sinpi " << x[i];
    EXPECT_TRUE(same(wanted.cospi, actual[i].cospi)) << "cospi " << x[i];
  }
}

}  // namespace
}  // namespace onepass::test

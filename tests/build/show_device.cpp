// show_device.cpp - prints the device that tests run on. `show_device cuda` prints nothing without a GPU.
#include <cstdio>
#include <cstring>

#include "onepass/device.hpp"

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "cuda") == 0) {
    if (onepass::cuda_available()) std::puts(onepass::device_name(onepass::Device::cuda(0)).c_str());
  } else {
    std::puts(onepass::device_name(onepass::Device::cpu()).c_str());
  }
  return 0;
}

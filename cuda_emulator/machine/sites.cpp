// sites.cpp - describes instructions in reports.
#include "machine/instruction.hpp"

namespace cuda_emulator {
namespace {

std::string file_name(const Site& site, int number) {
  if (site.program == nullptr || site.program->files == nullptr || number <= 0) return {};
  const auto& files = *site.program->files;
  const auto index = static_cast<std::size_t>(number);
  return index < files.size() ? files[index] : std::string{};
}

}  // namespace

Sites& Sites::instance() {
  // Never destroyed, like Reports.
  static Sites* sites = new Sites;
  return *sites;
}

std::uint32_t Sites::add(Site site) {
  sites_.push_back(site);
  return static_cast<std::uint32_t>(sites_.size() - 1);
}

std::string file_of(const Site& site) { return file_name(site, site.source.file); }

std::string describe_source(const Site& site) {
  if (site.program == nullptr) return "the host";
  const std::string file = file_of(site);
  if (file.empty()) return "PTX without line information (compile with -lineinfo)";
  std::string text = file + ":" + std::to_string(site.source.line);
  std::string_view word = ", inlined at ";
  for (const SourceLine::Caller& caller : site.source.callers) {
    text += std::string(word) + file_name(site, caller.file) + ":" + std::to_string(caller.line);
    word = " at ";
  }
  return text;
}

}  // namespace cuda_emulator

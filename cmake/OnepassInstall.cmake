# Installs the library so that find_package(onepass) provides onepass::onepass and onepass_add_rule().

include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/onepass")
set(rule_dir "${CMAKE_INSTALL_DATADIR}/onepass/rule")

install(TARGETS onepass EXPORT onepass-targets)
install(DIRECTORY include/onepass DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/include/onepass/all_optimizers.hpp"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/onepass")
install(EXPORT onepass-targets NAMESPACE onepass:: DESTINATION "${package_dir}")

# The files from which onepass_add_rule() compiles a user's own rule, in the same layout as here.
install(FILES cmake/OnepassRule.cmake DESTINATION "${rule_dir}/cmake")
install(DIRECTORY step kernels host DESTINATION "${rule_dir}"
  FILES_MATCHING PATTERN checkpoint EXCLUDE PATTERN "*.hpp" PATTERN "*.cuh" PATTERN "*.in")

configure_package_config_file(cmake/onepass-config.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/onepass-config.cmake"
  INSTALL_DESTINATION "${package_dir}" PATH_VARS rule_dir)
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/onepass-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/onepass-config.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/onepass-config-version.cmake" DESTINATION "${package_dir}")

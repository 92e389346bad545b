# What is installed besides the programs, made from their own tables; and the Debian package of it all
# (packaging/make-deb).
include(GNUInstallDirs)
set(shipped ${CMAKE_BINARY_DIR}/shipped)

file(GLOB man_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cli/man/*.cc)
add_executable(sampan-man EXCLUDE_FROM_ALL ${man_sources})
target_link_libraries(sampan-man PRIVATE cli cli_oci)
set_target_properties(sampan-man PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tools)

string(TIMESTAMP shipped_date "%Y-%m-%d" UTC)  # of SOURCE_DATE_EPOCH where that is set
add_custom_command(OUTPUT ${shipped}/man.stamp
  COMMAND sampan-man ${shipped}/man ${shipped_date}
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${shipped}/man.gz
  COMMAND ${CMAKE_COMMAND} -E copy_directory ${shipped}/man ${shipped}/man.gz
  COMMAND sh -c "gzip -9n ${shipped}/man.gz/*"
  COMMAND ${CMAKE_COMMAND} -E touch ${shipped}/man.stamp
  DEPENDS sampan-man VERBATIM)
set(shipped_files ${shipped}/man.stamp)
foreach(shell IN ITEMS bash zsh fish)
  add_custom_command(OUTPUT ${shipped}/completion.${shell}
    COMMAND sampan completion ${shell} > ${shipped}/completion.${shell}
    DEPENDS sampan VERBATIM)
  list(APPEND shipped_files ${shipped}/completion.${shell})
endforeach()
add_custom_command(OUTPUT ${shipped}/changelog.Debian.gz
  COMMAND sh -c "gzip -9nc ${CMAKE_SOURCE_DIR}/packaging/debian/changelog > ${shipped}/changelog.Debian.gz"
  DEPENDS ${CMAKE_SOURCE_DIR}/packaging/debian/changelog VERBATIM)
list(APPEND shipped_files ${shipped}/changelog.Debian.gz)
add_custom_target(shipped DEPENDS ${shipped_files})
add_dependencies(shipped programs)

# The helpers lie beside the program that starts them; only what users call is in a directory of PATH.
install(TARGETS sampan sampan-image sampan-registry sampan-init
  RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/sampan)
install(TARGETS sampan-oci RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
file(MAKE_DIRECTORY ${shipped})
file(CREATE_LINK ../${CMAKE_INSTALL_LIBEXECDIR}/sampan/sampan ${shipped}/sampan SYMBOLIC)
install(FILES ${shipped}/sampan DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES packaging/sampan.service DESTINATION lib/systemd/system)
install(FILES ${shipped}/completion.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME sampan)
install(FILES ${shipped}/completion.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _sampan)
install(FILES ${shipped}/completion.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME sampan.fish)
install(DIRECTORY ${shipped}/man.gz/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1.gz")
install(DIRECTORY ${shipped}/man.gz/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 FILES_MATCHING PATTERN "*.8.gz")
install(FILES README.md ${shipped}/changelog.Debian.gz packaging/debian/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
install(FILES packaging/debian/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME sampan)

set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # the tests are no part of it
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "The developers of sampan <sampan@example.org>")
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, procps")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "containernetworking-plugins, criu")
set(CPACK_DEBIAN_COMPRESSION_TYPE gzip)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  "${CMAKE_SOURCE_DIR}/packaging/debian/postinst;${CMAKE_SOURCE_DIR}/packaging/debian/prerm;${CMAKE_SOURCE_DIR}/packaging/debian/postrm")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "image-aware container engine without a daemon")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "sampan pulls OCI and Docker images, unpacks their layers into overlay2
directories, wires containers to a bridge and runs them with a runtime
of its own, through the commands that users of docker know. When
nothing runs, nothing of it runs.

sampan-oci is the same runtime as an OCI command line, for podman,
docker and containerd.")
include(CPack)

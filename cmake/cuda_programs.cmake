# Programs beside the library for a machine with a GPU: tools/gpu runs them.

# What the wrappers of cuda/ptx/ answer, kept in files and compared: tests/cuda/conformance. Two
# programs, of nvcc and of the emulator; neither needs the rest of the library. The kernels' tests
# hold the cases too.
function(gradstone_conformance)
  set(folder tests/cuda/conformance)
  file(GLOB parts CONFIGURE_DEPENDS cuda/runtime/stream.cpp cuda/runtime/tensor_map.cpp)
  file(GLOB emulator_sources CONFIGURE_DEPENDS tests/cuda_host/*.cpp)
  add_library(gradstone_cases_emu OBJECT ${folder}/vectors.cpp ${folder}/run_emulated.cpp)
  target_compile_definitions(gradstone_cases_emu PUBLIC GRADSTONE_CUDA_EMU GRADSTONE_HAS_CUDA)
  target_include_directories(gradstone_cases_emu PUBLIC csrc cuda tests/cuda_host tests/cuda)
  target_compile_options(gradstone_cases_emu PUBLIC
    -O1 -fno-strict-aliasing -ffp-contract=off -Wno-psabi -Wno-unknown-pragmas ${sanitizer_flags})
  add_executable(gradstone_conformance_emu ${folder}/main.cpp ${parts} ${emulator_sources})
  target_link_libraries(gradstone_conformance_emu PRIVATE gradstone_cases_emu Threads::Threads)
  target_link_options(gradstone_conformance_emu PRIVATE ${sanitizer_flags})
  if(GRADSTONE_SANITIZE STREQUAL "thread")
    target_compile_definitions(gradstone_conformance_emu PRIVATE GS_CUDA_HOST_TSAN)
  endif()
  if(GRADSTONE_CUDA STREQUAL "ON")
    add_library(gradstone_cases OBJECT ${folder}/vectors.cpp ${folder}/run.cu)
    target_compile_definitions(gradstone_cases PUBLIC GRADSTONE_HAS_CUDA)
    target_include_directories(gradstone_cases PUBLIC csrc cuda tests/cuda)
    target_compile_options(gradstone_cases PRIVATE
      $<$<COMPILE_LANGUAGE:CUDA>:-O3 --expt-relaxed-constexpr>)
    target_link_libraries(gradstone_cases PUBLIC CUDA::cudart_static)
    add_executable(gradstone_conformance ${folder}/main.cpp ${parts})
    target_link_libraries(gradstone_conformance PRIVATE gradstone_cases)
  endif()
endfunction()

# What the card reaches at all: a program of its own, as the conformance is.
function(gradstone_ceilings)
  set(parts cuda/runtime/stream.cpp)
  if(GRADSTONE_CUDA STREQUAL "EMU")
    set_source_files_properties(bench/cuda/ceilings.cu PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++")
    file(GLOB emulator_sources CONFIGURE_DEPENDS tests/cuda_host/*.cpp)
    list(APPEND parts ${emulator_sources})
  endif()
  add_executable(gradstone_ceilings EXCLUDE_FROM_ALL bench/cuda/ceilings.cu ${parts})
  target_include_directories(gradstone_ceilings PRIVATE csrc cuda)
  if(GRADSTONE_CUDA STREQUAL "EMU")
    target_compile_definitions(gradstone_ceilings PRIVATE GRADSTONE_CUDA_EMU)
    target_include_directories(gradstone_ceilings PRIVATE tests/cuda_host)
    target_link_libraries(gradstone_ceilings PRIVATE Threads::Threads)
  else()
    target_compile_options(gradstone_ceilings PRIVATE
      $<$<COMPILE_LANGUAGE:CUDA>:-O3 --expt-relaxed-constexpr>)
    target_link_libraries(gradstone_ceilings PRIVATE CUDA::cudart_static)
  endif()
endfunction()

# The kernels of cuda/ by nvcc (ON) or by the host compiler on the emulator of tests/cuda_host (EMU).
# Sets cuda_objects, cuda_definitions and cuda_libraries for gradstone_core, all empty without CUDA.

# nvcc: the one asked for, the PATH's, or that of the usual folder. AUTO is ON where it is new enough.
# (check_language needs Ninja in the PATH, where pip's build environment has none.)
set(cuda_oldest_nvcc 12)
if(GRADSTONE_CUDA MATCHES "^(AUTO|ON)$" AND NOT CMAKE_CUDA_COMPILER)
  if(DEFINED ENV{CUDACXX})
    set(CMAKE_CUDA_COMPILER $ENV{CUDACXX})
  else()
    find_program(GRADSTONE_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
    if(GRADSTONE_NVCC)
      set(CMAKE_CUDA_COMPILER ${GRADSTONE_NVCC})
    endif()
  endif()
endif()
if(GRADSTONE_CUDA STREQUAL "AUTO")
  set(GRADSTONE_CUDA OFF)
  if(CMAKE_CUDA_COMPILER)
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --version OUTPUT_VARIABLE nvcc_says ERROR_QUIET)
    if(nvcc_says MATCHES "release ([0-9.]+)" AND CMAKE_MATCH_1 VERSION_GREATER_EQUAL cuda_oldest_nvcc)
      set(GRADSTONE_CUDA ON)
    endif()
  endif()
endif()

set(cuda_objects "")
set(cuda_definitions "")
set(cuda_libraries "")

file(GLOB cuda_kernels CONFIGURE_DEPENDS cuda/*.cu)
file(GLOB cuda_host_sources CONFIGURE_DEPENDS cuda/runtime/*.cpp)

if(GRADSTONE_CUDA STREQUAL "EMU")
  # float* is read as a pack of 16 bytes, as nvcc allows; no contraction, so that a*b+c has the
  # same bits at every optimisation; -O1 compiles in a third of the time.
  set(emulated_flags -O1 -fno-strict-aliasing -ffp-contract=off -Wno-psabi -Wno-unknown-pragmas)
  set_source_files_properties(${cuda_kernels} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++")
  add_library(gradstone_cuda OBJECT ${cuda_kernels} ${cuda_host_sources})
  target_compile_options(gradstone_cuda PRIVATE ${emulated_flags})
  target_compile_definitions(gradstone_cuda PUBLIC GRADSTONE_CUDA_EMU GRADSTONE_HAS_CUDA)
  target_include_directories(gradstone_cuda PUBLIC csrc cuda tests/cuda_host)
  target_link_libraries(gradstone_cuda PRIVATE gradstone_flags)

  file(GLOB emulator_sources CONFIGURE_DEPENDS tests/cuda_host/*.cpp)
  add_library(gradstone_cuda_host OBJECT ${emulator_sources})
  target_include_directories(gradstone_cuda_host PRIVATE tests/cuda_host)
  target_compile_options(gradstone_cuda_host PRIVATE -O2 -Wall -Wextra)
  if(GRADSTONE_SANITIZE STREQUAL "address")
    target_compile_options(gradstone_cuda_host PRIVATE ${sanitizer_flags})
  elseif(GRADSTONE_SANITIZE MATCHES "^(thread|kernels)$")
    # The scheduler is not ordered by what it declares about the kernels, so it is not looked at.
    target_compile_definitions(gradstone_cuda_host PRIVATE GS_CUDA_HOST_TSAN)
  endif()
  if(GRADSTONE_SANITIZE STREQUAL "kernels")
    target_compile_options(gradstone_cuda PRIVATE -g1 -fno-omit-frame-pointer -fsanitize=thread)
    target_link_options(gradstone_cuda PUBLIC -fsanitize=thread)
  endif()
  set(cuda_objects $<TARGET_OBJECTS:gradstone_cuda> $<TARGET_OBJECTS:gradstone_cuda_host>)
  set(cuda_definitions GRADSTONE_HAS_CUDA)
elseif(GRADSTONE_CUDA STREQUAL "ON")
  # sm_80 for every card since, sm_90a for what only Hopper has; cards to come translate the PTX of
  # compute_80, which is made on the way to sm_80 and costs no time.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 90a-real)
  endif()
  # The runtime is linked statically and the driver not at all: the module is imported on a machine
  # without a GPU.
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  enable_language(CUDA)
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS cuda_oldest_nvcc)
    message(FATAL_ERROR
      "GRADSTONE_CUDA=ON needs nvcc ${cuda_oldest_nvcc} or newer; found ${CMAKE_CUDA_COMPILER_VERSION}")
  endif()
  find_package(CUDAToolkit REQUIRED)
  if(GRADSTONE_CCACHE AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${GRADSTONE_CCACHE})
  endif()

  # Flags and definitions of every file that nvcc compiles.
  add_library(gradstone_cuda_flags INTERFACE)
  target_compile_options(gradstone_cuda_flags INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:
    --expt-relaxed-constexpr -Xptxas=-v -Xcompiler=-Wall,-Wextra
    $<$<BOOL:${GRADSTONE_WERROR}>:-Werror=all-warnings>>)
  target_compile_definitions(gradstone_cuda_flags INTERFACE GRADSTONE_HAS_CUDA)
  target_include_directories(gradstone_cuda_flags INTERFACE csrc cuda)
  target_link_libraries(gradstone_cuda_flags INTERFACE CUDA::cudart_static)

  add_library(gradstone_cuda OBJECT ${cuda_kernels} ${cuda_host_sources})
  set(cuda_launcher sh ${CMAKE_CURRENT_SOURCE_DIR}/cmake/compile_cuda.sh ${CMAKE_CUDA_COMPILER_LAUNCHER})
  set_target_properties(gradstone_cuda PROPERTIES CUDA_COMPILER_LAUNCHER "${cuda_launcher}")
  target_link_libraries(gradstone_cuda PUBLIC gradstone_cuda_flags)
  set(cuda_objects $<TARGET_OBJECTS:gradstone_cuda>)
  set(cuda_definitions GRADSTONE_HAS_CUDA GRADSTONE_LINKS_CUDA)
  set(cuda_libraries CUDA::cudart_static)
endif()

if(GRADSTONE_CUDA STREQUAL "ON")
  message(STATUS "gradstone: CUDA kernels by nvcc ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")
elseif(GRADSTONE_CUDA STREQUAL "EMU")
  message(STATUS "gradstone: CUDA kernels on the host, emulated: for tests")
else()
  message(STATUS "gradstone: no CUDA kernels; GRADSTONE_CUDA=ON builds them with nvcc")
endif()

# The kernels' own tests: each beside its CPU twin.
function(gradstone_cuda_tests)
  file(GLOB sources CONFIGURE_DEPENDS tests/cuda/*.cpp)
  if(GRADSTONE_CUDA MATCHES "^(ON|EMU)$" AND sources)
    add_executable(gradstone_cuda_tests ${sources})
    target_include_directories(gradstone_cuda_tests PRIVATE tests/cpp tests/cuda)
    target_link_libraries(gradstone_cuda_tests PRIVATE gradstone_core gradstone_cuda
      GTest::gtest GTest::gtest_main)
    if(GRADSTONE_SANITIZE STREQUAL "kernels")  # it has kernels of its own
      set_source_files_properties(tests/cuda/test_emulator_races.cpp PROPERTIES
        COMPILE_OPTIONS "-g1;-fsanitize=thread")
    endif()
    gtest_discover_tests(gradstone_cuda_tests DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
      TEST_PREFIX cuda. PROPERTIES TIMEOUT 300)
  endif()
endfunction()

# The kernels of cuda/ by nvcc (ON) or by the host compiler on the emulator of tests/cuda_host (EMU).
# Sets cuda_objects, cuda_definitions and cuda_libraries for gradstone_core, all empty without CUDA.

set(cuda_objects "")
set(cuda_definitions "")
set(cuda_libraries "")

file(GLOB cuda_kernels CONFIGURE_DEPENDS cuda/*.cu)
file(GLOB cuda_host_sources CONFIGURE_DEPENDS cuda/*.cpp cuda/runtime/*.cpp)

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
  elseif(GRADSTONE_SANITIZE STREQUAL "thread")
    # The scheduler is not ordered by what it declares about the kernels, so it is not looked at.
    target_compile_definitions(gradstone_cuda_host PRIVATE GS_CUDA_HOST_TSAN)
  endif()
  set(cuda_objects $<TARGET_OBJECTS:gradstone_cuda> $<TARGET_OBJECTS:gradstone_cuda_host>)
  set(cuda_definitions GRADSTONE_HAS_CUDA)
elseif(GRADSTONE_CUDA STREQUAL "ON")
  # sm_80 for every card since, sm_90a for what only Hopper has. The runtime is linked statically and
  # the driver not at all: the module is imported on a machine without a GPU.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 90-virtual)
  endif()
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  find_package(CUDAToolkit REQUIRED)
  add_library(gradstone_cuda OBJECT ${cuda_kernels} ${cuda_host_sources})
  target_compile_options(gradstone_cuda PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-O3 --expt-relaxed-constexpr -Xptxas -v>)
  target_compile_definitions(gradstone_cuda PUBLIC GRADSTONE_HAS_CUDA)
  target_include_directories(gradstone_cuda PUBLIC csrc cuda)
  target_link_libraries(gradstone_cuda PUBLIC CUDA::cudart_static)
  set(cuda_objects $<TARGET_OBJECTS:gradstone_cuda>)
  set(cuda_definitions GRADSTONE_HAS_CUDA)
  set(cuda_libraries CUDA::cudart_static)
endif()

# The kernels' own tests: each beside its CPU twin.
function(gradstone_cuda_tests)
  file(GLOB sources CONFIGURE_DEPENDS tests/cuda/*.cpp)
  if(GRADSTONE_CUDA MATCHES "^(ON|EMU)$" AND sources)
    add_executable(gradstone_cuda_tests ${sources})
    target_include_directories(gradstone_cuda_tests PRIVATE tests/cpp tests/cuda)
    target_link_libraries(gradstone_cuda_tests PRIVATE gradstone_core gradstone_cuda
      GTest::gtest GTest::gtest_main)
    gtest_discover_tests(gradstone_cuda_tests DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
      TEST_PREFIX cuda. PROPERTIES TIMEOUT 300)
  endif()
endfunction()

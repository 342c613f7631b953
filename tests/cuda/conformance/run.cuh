// Runs the cases. One source: nvcc compiles it in run.cu, the host's compiler in run_emulated.cpp.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "conformance/cases.cuh"
#include "conformance/cases_convert.cuh"
#include "conformance/cases_hopper.cuh"
#include "conformance/vectors.h"

namespace gs::conformance {
namespace {

template <class C>
__global__ void run_case(const uint32_t* in, uint32_t* out) {
  const size_t thread = static_cast<size_t>(blockIdx.x) * C::threads + threadIdx.x;
  C::run(in + thread * in_16_bytes(C::in), out + thread * in_16_bytes(C::out));
}

template <class C>
void launch_case(const uint32_t* in, uint32_t* out) {
  if constexpr (requires { C::launch(in, out); })
    C::launch(in, out);
  else
    cuda::launch({dim3(C::trials), dim3(C::threads)}, run_case<C>, in, out);
}

uint64_t hash_of(const void* data, size_t bytes, uint64_t h = 0xcbf29ce484222325u) {
  for (size_t i = 0; i < bytes; ++i)
    h = (h ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3u;
  return h;
}

template <class C>
std::vector<uint32_t> inputs_of() {
  std::vector<uint32_t> words(size_t(C::trials) * C::threads * in_16_bytes(C::in));
  for (int trial = 0; trial < C::trials; ++trial) {
    Draw draw(hash_of(C::name, std::strlen(C::name), static_cast<uint64_t>(trial)));
    const Kind kind = static_cast<Kind>(trial % kKinds);
    for (int thread = 0; thread < C::threads; ++thread)
      for (int i = 0; i < C::in; ++i)
        words[(size_t(trial) * C::threads + thread) * in_16_bytes(C::in) + i] =
            C::draw(draw, kind, i);
  }
  return words;
}

// On the device, filled with ones first: what is not written shows.
template <class C>
void on_device(const std::vector<uint32_t>& in, std::vector<uint32_t>& out) {
  const size_t in_bytes = in.size() * 4, out_bytes = out.size() * 4;
  void *from = nullptr, *to = nullptr;
  cuda::check(cudaMalloc(&from, in_bytes), C::name);
  cuda::check(cudaMalloc(&to, out_bytes), C::name);
  cuda::check(cudaMemcpy(from, in.data(), in_bytes, cudaMemcpyHostToDevice), C::name);
  cuda::check(cudaMemsetAsync(to, 0xff, out_bytes), C::name);
  launch_case<C>(static_cast<uint32_t*>(from), static_cast<uint32_t*>(to));
  cuda::check(cudaDeviceSynchronize(), C::name);
  cuda::check(cudaMemcpy(out.data(), to, out_bytes, cudaMemcpyDeviceToHost), C::name);
  cudaFree(from), cudaFree(to);
}

template <class C>
void run_into(std::vector<Result>& results, int capability) {
  if (C::capability == 90 ? capability != 90 : capability < C::capability) return;
  const std::vector<uint32_t> in = inputs_of<C>();
  std::vector<uint32_t> out(size_t(C::trials) * C::threads * in_16_bytes(C::out));
  on_device<C>(in, out);
  Result r{C::name, C::trials, C::threads, C::out, C::bound, hash_of(in.data(), in.size() * 4), {}};
  for (size_t i = 0; i < out.size(); ++i)
    if (i % in_16_bytes(C::out) < size_t(C::out)) r.data.push_back(out[i]);
  results.push_back(std::move(r));
}

template <class... Each>
void each(Cases<Each...>, const auto& visit) {
  (visit(static_cast<Each*>(nullptr)), ...);
}
void each_case(const auto& visit) {
  each(WarpCases{}, visit);
  each(ConvertCases{}, visit);
  each(HopperCases{}, visit);
}

}  // namespace

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  each_case([&]<class C>(C*) { names.push_back(C::name); });
  return names;
}

Vectors run_all(const std::vector<std::string>& only) {
  cudaDeviceProp properties;
  cuda::check(cudaGetDeviceProperties(&properties, 0), "conformance");
  int driver = 0, runtime = 0;
  cuda::check(cudaDriverGetVersion(&driver), "conformance");
  cuda::check(cudaRuntimeGetVersion(&runtime), "conformance");
  const int capability = properties.major * 10 + properties.minor;
  Vectors vectors;
  vectors.device = std::string(properties.name) + ", sm_" + std::to_string(capability);
  vectors.versions = "driver " + std::to_string(driver) + ", runtime " + std::to_string(runtime);
  vectors.commit = "unknown";
  each_case([&]<class C>(C*) {
    if (only.empty() || std::find(only.begin(), only.end(), C::name) != only.end())
      run_into<C>(vectors.results, capability);
  });
  return vectors;
}

}  // namespace gs::conformance

#include "fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

#include "sanitizers.h"

namespace cuda_host {
namespace {

constexpr size_t kStack = kAsan ? 512 << 10 : 128 << 10;
constexpr size_t kGuard = 4096;

#if defined(__x86_64__)
// Saves the registers that a call preserves, and takes up those saved at `to`: 20 ns, where
// swapcontext, which also asks the kernel for the signal mask, takes 700.
extern "C" void gs_cuda_host_switch(void** save, void* to);
asm(R"(
.text
.globl gs_cuda_host_switch
.hidden gs_cuda_host_switch
.type gs_cuda_host_switch, @function
gs_cuda_host_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gs_cuda_host_switch, .-gs_cuda_host_switch
)");

void* first_frame(char* top, void (*entry)()) {
  constexpr int kSavedRegisters = 6;
  void** at = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t(15));
  *--at = nullptr;  // as if `entry` had been called: the stack is 8 off a multiple of 16
  *--at = reinterpret_cast<void*>(entry);
  for (int i = 0; i < kSavedRegisters; ++i) *--at = nullptr;
  return at;
}
#endif

char* map_stack() {
  void* at = mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  mprotect(at, kGuard, PROT_NONE);
  return static_cast<char*>(at) + kGuard;
}

}  // namespace

Fiber::Fiber(void (*entry)()) : entry_(entry), stack_(map_stack()) {
  static size_t made = 0;
  offset_ = made++ * 320 % 4096;
#if defined(GS_CUDA_HOST_TSAN)
  tsan_ = __tsan_create_fiber(0);
#endif
  reset();
}

Fiber::~Fiber() {
  unpoison(stack_, kStack);
#if defined(GS_CUDA_HOST_TSAN)
  __tsan_destroy_fiber(tsan_);
#endif
  munmap(stack_ - kGuard, kGuard + kStack);
}

void Fiber::reset() {
  unpoison(stack_, kStack);
#if defined(__x86_64__)
  registers_ = first_frame(stack_ + kStack - offset_, entry_);
#else
  getcontext(&registers_);
  registers_.uc_stack.ss_sp = stack_;
  registers_.uc_stack.ss_size = kStack - offset_;
  registers_.uc_link = nullptr;
  makecontext(&registers_, entry_, 0);
#endif
  fake_stack_ = nullptr;
}

void Fiber::forget() {
#if defined(GS_CUDA_HOST_TSAN)
  __tsan_destroy_fiber(tsan_);
  tsan_ = __tsan_create_fiber(0);
  mmap(stack_, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  reset();
#endif
}

void FiberSwitch::enter(Fiber& fiber) {
  running_ = &fiber;
#if defined(GS_CUDA_HOST_TSAN)
  tsan_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(fiber.tsan_, 1);  // 1: the switch itself orders nothing
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_stack_, fiber.stack_, kStack);
#endif
#if defined(__x86_64__)
  gs_cuda_host_switch(&registers_, fiber.registers_);
#else
  swapcontext(&registers_, &fiber.registers_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
#endif
}

void FiberSwitch::leave() {
  Fiber& fiber = *running_;
#if defined(GS_CUDA_HOST_TSAN)
  __tsan_switch_to_fiber(tsan_, 1);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fiber.fake_stack_, stack_, stack_size_);
#endif
#if defined(__x86_64__)
  gs_cuda_host_switch(&fiber.registers_, registers_);
#else
  swapcontext(&fiber.registers_, &registers_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fiber.fake_stack_, &stack_, &stack_size_);
#endif
}

void FiberSwitch::started() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &stack_, &stack_size_);
#endif
}

}  // namespace cuda_host

// thread_local bool flag GS_INITIAL_EXEC = true;
#pragma once

// Initial-exec: one instruction instead of a call, for a few bytes of the loader's reserve. All of
// the module's thread_local memory must then fit there, and CUDA's runtime, linked into it, brings
// 4 KB: the import would fail.
#if defined(GRADSTONE_LINKS_CUDA)
#define GS_INITIAL_EXEC
#else
#define GS_INITIAL_EXEC __attribute__((tls_model("initial-exec")))
#endif

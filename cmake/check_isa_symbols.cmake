# Fails when an object compiled for AVX2 or AVX-512 defines a symbol that the linker may merge with
# another file's copy (an inline function or a template left out of line). The merged copy would then
# run on machines that have no such instructions. Call with -DNM=... -DOBJECTS=a.o;b.o
set(found "")
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --defined-only -C ${object}
                  OUTPUT_VARIABLE symbols RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "cannot read ${object}: build the tests first")
  endif()
  # Templates over [brackets] or names with semicolons would be split as CMake lists.
  string(REPLACE ";" ":" symbols "${symbols}")
  string(REPLACE "[" "(" symbols "${symbols}")
  string(REPLACE "]" ")" symbols "${symbols}")
  string(REPLACE "\n" ";" symbols "${symbols}")
  foreach(line IN LISTS symbols)
    # W, V, u: weak or unique. DW.ref.* are the unwinder's pointers, data of the same value everywhere.
    if(line MATCHES " [WVu] " AND NOT line MATCHES "DW\\.ref\\.")
      string(REGEX REPLACE ".*/gradstone_kernels_([a-z0-9]+)\\.dir/.*/([^/]+)$" "\\1 \\2" name ${object})
      list(APPEND found "  ${name}: ${line}")
    endif()
  endforeach()
endforeach()
if(found)
  list(JOIN found "\n" text)
  message(FATAL_ERROR "objects with AVX instructions define mergeable symbols; make them "
                      "always_inline, or give them internal linkage:\n${text}")
endif()

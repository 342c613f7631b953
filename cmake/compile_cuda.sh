#!/bin/sh
# compile_cuda.sh COMPILER ARGUMENTS...: compiles. What ptxas says of each kernel's registers and
# memory is kept in OBJECT.ptxas, where tests/cuda/resources.py reads it; all else is printed.
object='' before=''
for argument; do
  [ "$before" = -o ] && object=$argument
  before=$argument
done
[ -n "$object" ] || exec "$@"

# ccache, where it is the compiler: what the preprocessor makes for one architecture says nothing
# about the others, so it has to go by the files included.
export CCACHE_DEPEND=1

"$@" 2>"$object.ptxas"
result=$?
grep -v -e '^ptxas info ' -e '^ *[0-9]* bytes stack frame, ' "$object.ptxas" >&2
exit $result

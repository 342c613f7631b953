#include "conformance/run.cuh"

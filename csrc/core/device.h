// Where a tensor lives.
#pragma once

#include <cstdint>
#include <ostream>

namespace gs {

enum class DeviceType : uint8_t { Cpu, Cuda };

struct Device {
  DeviceType type = DeviceType::Cpu;
  int8_t index = 0;

  bool is_cpu() const { return type == DeviceType::Cpu; }
  bool is_cuda() const { return type == DeviceType::Cuda; }
  bool operator==(const Device&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, Device d) {
  if (d.is_cpu()) return out << "cpu";
  return out << "cuda:" << int(d.index);
}

}  // namespace gs

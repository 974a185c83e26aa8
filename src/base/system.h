// What the machine offers this process. Figures are read anew at each call. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace minerva {

// Processors this process may use: its affinity mask and its cgroup's CPU quota, at least 1.
unsigned available_cpus();

struct MemoryInfo {
  std::uint64_t total_bytes = 0;      // of the machine, or the cgroup's limit where that is less
  std::uint64_t available_bytes = 0;  // what can be had without swapping, within that limit
};
MemoryInfo memory_info();

// From here on large blocks go back to the system when they are freed. For a program that lives
// long and whose models come and go; at its start, before there are threads.
void return_large_blocks_at_once();
// Gives the system what the allocator keeps of freed memory for later: after something large went.
void return_freed_memory();

// Lets this process open `wanted` files and sockets, or as many as it may; returns how many that
// is.
std::uint64_t raise_open_file_limit(std::uint64_t wanted);

// Resident bytes of this process.
std::uint64_t resident_bytes();

// Of one process (0: this one): memory with each shared page divided by the number of those who
// share it (PSS), so that the figures of several processes may be added.
struct ProportionalBytes {
  std::uint64_t total = 0;
  std::uint64_t files = 0;  // of that, pages of files, which the kernel can drop and read again
};
// All 0 for a process that has ended or is not ours to look at.
ProportionalBytes proportional_bytes(std::int64_t pid = 0);

std::string cpu_model_name();
std::string home_directory();  // $HOME, or the user's entry in the password file

}  // namespace minerva

// The guard's own main program (child.h says what it is for). One thread; it never returns to the
// caller's code, and uses no lock or allocator state of a parent, since it is a fresh process.
#pragma once

#include <span>
#include <string>

namespace minerva::process {

// What `minerva guard …` runs; `arguments` are those behind the verb, made by Child::spawn().
int run_guard(std::span<const std::string> arguments);

}  // namespace minerva::process

#include "engine/kv_cache.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/check.h"

namespace minerva::engine {
namespace {

constexpr std::size_t pages_of(std::size_t positions) { return (positions + kPage - 1) / kPage; }

// Two bytes of it are a NaN of half precision, four one of single precision.
constexpr int kNanByte = 0xff;
// Sequences that are at work on a prompt or an answer have a state each, whatever their lengths;
// up to so many are planned for, with up to a share of the memory.
constexpr std::uint64_t kStatesMax = 32;
constexpr std::uint64_t kStatesShare = 4;
// Of a state's layers: each begins at a cache line's border.
constexpr std::size_t kStateStep = 16;
// Leave to grow is asked for in such steps: asking means reading files of the system.
constexpr std::uint64_t kGrowStep = std::uint64_t{8} << 20;

}  // namespace

KvLayout::KvLayout(const ModelConfig& config) {
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    const LayerConfig& layer = config.layers[i];
    if (layer.shares_kv_of) {
      MINERVA_CHECK(*layer.shares_kv_of < i);
      places_.push_back(places_[*layer.shares_kv_of]);
      continue;
    }
    const std::size_t group = group_for(layer.window, layer.delta);
    if (layer.delta) {
      state_group_ = group;
      places_.push_back({group, groups_[group].page_bytes / sizeof(float), 0});
      ++groups_[group].layers;
      const std::size_t floats = config.delta.state_floats() + kStateStep - 1;
      groups_[group].page_bytes += floats / kStateStep * kStateStep * sizeof(float);
      continue;
    }
    const std::size_t head_dim = head_dim_of(config, i);
    places_.push_back({group, groups_[group].page_bytes / sizeof(std::uint16_t), head_dim});
    ++groups_[group].layers;
    groups_[group].page_bytes +=
        kv_heads_of(config, i) * 2 * head_dim * kPage * sizeof(std::uint16_t);
  }
}

std::size_t KvLayout::group_for(std::size_t window, bool state) {
  std::size_t group = 0;
  while (group < groups_.size() &&
         (groups_[group].window != window || groups_[group].state != state)) {
    ++group;
  }
  if (group == groups_.size()) groups_.push_back({window, 0, 0, state});
  return group;
}

std::size_t KvLayout::k_offset(std::size_t layer, std::size_t kv_head) const {
  return places_[layer].offset + kv_head * 2 * places_[layer].head_dim * kPage;
}

std::size_t KvLayout::v_offset(std::size_t layer, std::size_t kv_head) const {
  return k_offset(layer, kv_head) + places_[layer].head_dim * kPage;
}

std::size_t KvLayout::pages_for(std::size_t group, std::size_t positions) const {
  if (groups_[group].state) return positions == 0 ? 0 : 1;
  const std::size_t all = pages_of(positions);
  const std::size_t window = groups_[group].window;
  // While a chunk is written its window and the chunk itself are held; the chunk is at most
  // kChunkMax long. Two more pages, because neither end lies on a page's border.
  return window == 0 ? all : std::min(all, pages_of(window) + pages_of(kChunkMax) + 2);
}

std::uint64_t KvLayout::bytes_for(std::size_t positions) const {
  std::uint64_t bytes = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    bytes += pages_for(g, positions) * groups_[g].page_bytes;
  }
  return bytes;
}

KvPool::KvPool(KvLayout layout, std::vector<Arena> arenas, std::size_t total)
    : layout_(std::move(layout)), arenas_(std::move(arenas)), total_(total) {}

Result<std::unique_ptr<KvPool>> KvPool::create(KvLayout layout, std::uint64_t budget_bytes,
                                               std::size_t positions) {
  const std::uint64_t one = layout.bytes_for(positions);
  if (one > budget_bytes) {
    return fail(ErrorCode::OutOfMemory,
                fmt::format("a context of {} tokens needs {} MiB for keys and values, and {} MiB "
                            "may be used; ask for a smaller context",
                            positions, one >> 20, budget_bytes >> 20));
  }
  // Of states there are more than of full sequences, because most are shorter.
  std::uint64_t states = 0;
  std::uint64_t state_bytes = 0;
  if (layout.has_states()) {
    state_bytes = layout.groups()[layout.state_group()].page_bytes;
    states = std::max(budget_bytes / one,
                      std::min(kStatesMax, budget_bytes / kStatesShare / state_bytes));
    states = std::min(states, (budget_bytes - (one - state_bytes)) / state_bytes);
  }
  const double sequences = static_cast<double>(budget_bytes - states * state_bytes) /
                           static_cast<double>(std::max<std::uint64_t>(one - state_bytes, 1));
  std::vector<Arena> arenas;
  std::size_t total = 0;
  for (std::size_t g = 0; g < layout.groups().size(); ++g) {
    const auto pages = layout.groups()[g].state
                           ? static_cast<std::size_t>(states)
                           : static_cast<std::size_t>(
                                 static_cast<double>(layout.pages_for(g, positions)) * sequences);
    Arena arena;
    const std::size_t bytes = pages * layout.groups()[g].page_bytes;
    // Uninitialised: the system gives real memory only to pages that are written.
    arena.memory.reset(new (std::nothrow) std::byte[bytes]);
    if (arena.memory == nullptr) {
      return fail(ErrorCode::OutOfMemory,
                  fmt::format("cannot reserve {} MiB for keys and values", bytes >> 20));
    }
    arena.references.assign(pages, 0);
    arena.free.resize(pages);
    // Handed out from the back: low pages first, so that little memory is ever touched.
    for (std::size_t i = 0; i < pages; ++i) arena.free[i] = static_cast<PageId>(pages - 1 - i);
    total += pages;
    arenas.push_back(std::move(arena));
  }
  return std::unique_ptr<KvPool>(new KvPool(std::move(layout), std::move(arenas), total));
}

std::byte* KvPool::bytes_of(std::size_t group, PageId id) const {
  return arenas_[group].memory.get() + id * layout_.groups()[group].page_bytes;
}

const std::uint16_t* KvPool::page(std::size_t group, PageId id) const {
  return reinterpret_cast<const std::uint16_t*>(bytes_of(group, id));
}

std::uint16_t* KvPool::writable_page(std::size_t group, PageId id) {
  MINERVA_DCHECK(arenas_[group].references[id] == 1);
  return reinterpret_cast<std::uint16_t*>(bytes_of(group, id));
}

float* KvPool::states(const SequenceKv& kv) {
  const std::size_t group = layout_.state_group();
  const PageId id = kv.tables[group].front();
  MINERVA_DCHECK(arenas_[group].references[id] == 1);
  return reinterpret_cast<float*>(bytes_of(group, id));
}

std::size_t KvPool::pages_wanted(std::size_t table, std::size_t positions) const {
  const std::size_t pages = pages_of(positions);
  if (!layout_.groups()[group_of(table)].state) return pages;
  // A state is exact as it is.
  return table < layout_.groups().size() ? std::min<std::size_t>(pages, 1) : 0;
}

void KvPool::grow_if(std::function<bool(std::uint64_t)> may_grow, std::size_t positions) {
  may_grow_ = std::move(may_grow);
  for (std::size_t g = 0; g < arenas_.size(); ++g) {
    arenas_[g].promised = layout_.pages_for(g, positions);
  }
}

bool KvPool::may_touch(std::span<const std::size_t> missing) {
  std::uint64_t bytes = 0;
  for (std::size_t g = 0; g < arenas_.size(); ++g) {
    const Arena& arena = arenas_[g];
    const std::size_t used = arena.references.size() - arena.free.size();
    // Those that were used before lie on top of the others.
    const std::size_t after = std::max(used + missing[g], arena.touched);
    const std::size_t before = std::max(arena.touched, arena.promised);
    if (after > before) bytes += (after - before) * layout_.groups()[g].page_bytes;
  }
  if (bytes > allowed_) {
    if (!may_grow_(bytes + kGrowStep)) return false;
    allowed_ = bytes + kGrowStep;
  }
  allowed_ -= bytes;
  return true;
}

PageId KvPool::allocate(std::size_t group) {
  Arena& arena = arenas_[group];
  MINERVA_CHECK(!arena.free.empty());
  const PageId id = arena.free.back();
  arena.free.pop_back();
  arena.references[id] = 1;
  if (id >= arena.touched) {
    touched_.fetch_add((id + 1 - arena.touched) * layout_.groups()[group].page_bytes,
                       std::memory_order_relaxed);
    arena.touched = id + 1;
  }
  used_.fetch_add(1, std::memory_order_relaxed);
  return id;
}

void KvPool::unref(std::size_t group, PageId id) {
  if (id == kNoPage) return;
  Arena& arena = arenas_[group];
  MINERVA_CHECK(arena.references[id] > 0);
  if (--arena.references[id] > 0) return;
  if (poison_) {
    std::memset(bytes_of(group, id), kNanByte, layout_.groups()[group].page_bytes);
  }
  arena.free.push_back(id);
  used_.fetch_sub(1, std::memory_order_relaxed);
}

SequenceKv KvPool::make_sequence(bool exact) const {
  SequenceKv kv;
  kv.tables.resize(layout_.groups().size() * (exact ? 2 : 1));
  return kv;
}

bool KvPool::reserve(SequenceKv& kv, std::size_t count) {
  // The page that is written to although it is there already, or kNoPage.
  const auto partial = [&](std::size_t i) -> std::size_t {
    if (layout_.groups()[group_of(i)].state) return count == 0 ? kNoPage : 0;
    return kv.length % kPage != 0 ? kv.length / kPage : kNoPage;
  };
  const auto shared_tail = [&](std::size_t i) {
    const std::size_t tail = partial(i);
    return tail != kNoPage && tail < kv.tables[i].size() &&
           arenas_[group_of(i)].references[kv.tables[i][tail]] > 1;
  };
  std::vector<std::size_t> missing(arenas_.size());
  for (std::size_t i = 0; i < kv.tables.size(); ++i) {
    const std::size_t have = kv.tables[i].size();
    const std::size_t wanted = pages_wanted(i, kv.length + count);
    const std::size_t g = group_of(i);
    missing[g] += (wanted > have ? wanted - have : 0) + (shared_tail(i) ? 1 : 0);
    if (arenas_[g].free.size() < missing[g]) return false;
  }
  if (may_grow_ && !may_touch(missing)) return false;
  for (std::size_t i = 0; i < kv.tables.size(); ++i) {
    const std::size_t g = group_of(i);
    const std::size_t page_bytes = layout_.groups()[g].page_bytes;
    if (shared_tail(i)) {
      PageId& tail = kv.tables[i][partial(i)];
      const PageId copy = allocate(g);
      std::memcpy(bytes_of(g, copy), bytes_of(g, tail), page_bytes);
      unref(g, tail);
      tail = copy;
    }
    while (kv.tables[i].size() < pages_wanted(i, kv.length + count)) {
      kv.tables[i].push_back(allocate(g));
      if (!layout_.groups()[g].state) continue;
      MINERVA_CHECK(kv.length == 0);
      std::memset(bytes_of(g, kv.tables[i].back()), 0, page_bytes);
    }
  }
  return true;
}

SequenceKv KvPool::fork(const SequenceKv& kv) {
  for (std::size_t i = 0; i < kv.tables.size(); ++i) {
    for (const PageId id : kv.tables[i]) {
      if (id != kNoPage) ++arenas_[group_of(i)].references[id];
    }
  }
  return kv;
}

void KvPool::truncate(SequenceKv& kv, std::size_t length) {
  MINERVA_CHECK(length <= kv.length);
  if (layout_.has_states() && length < kv.length) length = 0;
  for (std::size_t i = 0; i < kv.tables.size(); ++i) {
    const std::size_t keep = pages_wanted(i, length);
    while (kv.tables[i].size() > keep) {
      unref(group_of(i), kv.tables[i].back());
      kv.tables[i].pop_back();
    }
  }
  kv.length = length;
}

void KvPool::drop_out_of_sight(SequenceKv& kv) {
  for (std::size_t t = 0; t < kv.tables.size(); ++t) {
    std::vector<PageId>& table = kv.tables[t];
    const std::size_t window = layout_.groups()[group_of(t)].window;
    // The next token sits at kv.length and sees back to kv.length - window + 1.
    if (window == 0 || kv.length + 1 <= window) continue;
    const std::size_t first_seen = (kv.length + 1 - window) / kPage;
    for (std::size_t i = std::min(first_seen, table.size()); i-- > 0;) {
      if (table[i] == kNoPage) break;
      unref(group_of(t), table[i]);
      table[i] = kNoPage;
    }
  }
}

void KvPool::release(SequenceKv& kv) { truncate(kv, 0); }

bool KvPool::can_ever_hold(std::size_t positions, bool exact) const {
  for (std::size_t g = 0; g < arenas_.size(); ++g) {
    const bool twice = exact && !layout_.groups()[g].state;
    const std::size_t pages = layout_.pages_for(g, positions) * (twice ? 2 : 1);
    if (pages > arenas_[g].references.size()) return false;
  }
  return true;
}

std::size_t KvPool::longest_exact(std::size_t positions) const {
  if (can_ever_hold(positions, true)) return positions;
  std::size_t fits = 0;
  while (positions - fits > 1) {
    const std::size_t middle = fits + (positions - fits) / 2;
    (can_ever_hold(middle, true) ? fits : positions) = middle;
  }
  return fits;
}

}  // namespace minerva::engine

#include "engine/kv_cache.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/check.h"

namespace minerva::engine {
namespace {

constexpr std::size_t pages_of(std::size_t positions) { return (positions + kPage - 1) / kPage; }

constexpr std::uint16_t kHalfNan = 0x7e00;
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
    std::size_t group = 0;
    while (group < groups_.size() && groups_[group].window != layer.window) ++group;
    if (group == groups_.size()) groups_.push_back({layer.window, 0, 0});
    const std::size_t head_dim = head_dim_of(config, i);
    places_.push_back({group, groups_[group].page_bytes / sizeof(std::uint16_t), head_dim});
    ++groups_[group].layers;
    groups_[group].page_bytes +=
        kv_heads_of(config, i) * 2 * head_dim * kPage * sizeof(std::uint16_t);
  }
}

std::size_t KvLayout::k_offset(std::size_t layer, std::size_t kv_head) const {
  return places_[layer].offset + kv_head * 2 * places_[layer].head_dim * kPage;
}

std::size_t KvLayout::v_offset(std::size_t layer, std::size_t kv_head) const {
  return k_offset(layer, kv_head) + places_[layer].head_dim * kPage;
}

std::size_t KvLayout::pages_for(std::size_t group, std::size_t positions) const {
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
  const double sequences = static_cast<double>(budget_bytes) / static_cast<double>(one);
  std::vector<Arena> arenas;
  std::size_t total = 0;
  for (std::size_t g = 0; g < layout.groups().size(); ++g) {
    const auto pages =
        static_cast<std::size_t>(static_cast<double>(layout.pages_for(g, positions)) * sequences);
    Arena arena;
    const std::size_t values = pages * layout.groups()[g].page_bytes / sizeof(std::uint16_t);
    // Uninitialised: the system gives real memory only to pages that are written.
    arena.memory.reset(new (std::nothrow) std::uint16_t[values]);
    if (arena.memory == nullptr) {
      return fail(ErrorCode::OutOfMemory,
                  fmt::format("cannot reserve {} MiB for keys and values", (values * 2) >> 20));
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

std::size_t KvPool::values_per_page(std::size_t group) const {
  return layout_.groups()[group].page_bytes / sizeof(std::uint16_t);
}

const std::uint16_t* KvPool::page(std::size_t group, PageId id) const {
  return arenas_[group].memory.get() + id * values_per_page(group);
}

std::uint16_t* KvPool::writable_page(std::size_t group, PageId id) {
  MINERVA_DCHECK(arenas_[group].references[id] == 1);
  return arenas_[group].memory.get() + id * values_per_page(group);
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
    std::fill_n(arena.memory.get() + id * values_per_page(group), values_per_page(group), kHalfNan);
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
  const std::size_t wanted = pages_of(kv.length + count);
  const std::size_t partial = kv.length % kPage != 0 ? kv.length / kPage : kNoPage;
  auto shared_tail = [&](std::size_t i) {
    return partial != kNoPage && partial < kv.tables[i].size() &&
           arenas_[group_of(i)].references[kv.tables[i][partial]] > 1;
  };
  std::vector<std::size_t> missing(arenas_.size());
  for (std::size_t i = 0; i < kv.tables.size(); ++i) {
    const std::size_t have = kv.tables[i].size();
    const std::size_t g = group_of(i);
    missing[g] += (wanted > have ? wanted - have : 0) + (shared_tail(i) ? 1 : 0);
    if (arenas_[g].free.size() < missing[g]) return false;
  }
  if (may_grow_ && !may_touch(missing)) return false;
  for (std::size_t i = 0; i < kv.tables.size(); ++i) {
    const std::size_t g = group_of(i);
    if (shared_tail(i)) {
      PageId& tail = kv.tables[i][partial];
      const PageId copy = allocate(g);
      std::memcpy(writable_page(g, copy), page(g, tail), layout_.groups()[g].page_bytes);
      unref(g, tail);
      tail = copy;
    }
    while (kv.tables[i].size() < wanted) kv.tables[i].push_back(allocate(g));
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
  const std::size_t keep = pages_of(length);
  for (std::size_t i = 0; i < kv.tables.size(); ++i) {
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
    const std::size_t pages = layout_.pages_for(g, positions) * (exact ? 2 : 1);
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

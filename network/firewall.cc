#include "network/firewall.h"

#include <arpa/inet.h>
#include <cerrno>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "base/error.h"
#include "network/nft_message.h"
#include "network/nft_objects.h"

namespace network {
namespace {

constexpr int kCommitAttempts = 32;

// Markers that another version or configuration left in our table.
std::vector<Step> delete_other_markers(Netlink& netfilter, const BridgeConfig& config,
                                       const std::string& marker) {
  const Bytes request = nft_message(NFT_MSG_GETCHAIN, NLM_F_DUMP, [](nlmsghdr*) {});
  std::vector<Step> steps;
  for (const Bytes& message : netfilter.dump(request, "list nftables chains")) {
    const auto chain = parse_chain(message);
    if (!chain || chain->table != config.table || chain->name == marker) continue;
    if (!chain->name.starts_with(kMarkerPrefix)) continue;
    steps.push_back({"delete chain inet " + config.table + " " + chain->name,
                     chain_message(config, NFT_MSG_DELCHAIN, chain->name)});
  }
  return steps;
}

}  // namespace

bool is_firewall_in_place(Netlink& netfilter, const BridgeConfig& config,
                          const Firewall& firewall) {
  std::vector<Bytes> requests;
  for (const ChainUse& chain : firewall.chains) {
    requests.push_back(chain_message(config, NFT_MSG_GETCHAIN, chain.name));
  }
  const auto answers = netfilter.ask(requests);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].error != 0 && answers[i].error != ENOENT) {
      base::throw_errno("look at nftables table " + config.table, answers[i].error);
    }
    if (answers[i].messages.empty()) return false;
    const auto chain = parse_chain(answers[i].messages.front());
    if (!chain || chain->use != firewall.chains[i].use) return false;
  }
  return true;
}

void apply_firewall(Netlink& netfilter, const BridgeConfig& config, const Firewall& firewall,
                    std::vector<Step> elements) {
  for (int attempt = 1;;) {
    const std::uint32_t generation = current_generation(netfilter);
    std::vector<Step> steps = firewall.steps;
    for (Step& step : delete_other_markers(netfilter, config, firewall.chains.back().name)) {
      steps.push_back(std::move(step));
    }
    const std::size_t first_element = steps.size();
    steps.insert(steps.end(), elements.begin(), elements.end());
    const auto refusal = netfilter.try_commit(steps, generation);
    if (!refusal) return;
    if (refusal->step >= first_element && refusal->step < steps.size() &&
        (refusal->error == EEXIST || refusal->error == EBUSY)) {
      elements.erase(elements.begin() + static_cast<std::ptrdiff_t>(refusal->step - first_element));
      continue;
    }
    const bool is_race = refusal->error == ERESTART || refusal->error == EBUSY;
    if (!is_race || attempt++ == kCommitAttempts) throw_refusal(steps, *refusal);
  }
}

void remove_firewall(Netlink& netfilter, const BridgeConfig& config) {
  // Added first, so that there is always something to delete: a refused transaction is expensive.
  const std::vector<Step> steps{
      {"add table inet " + config.table, table_message(config, NFT_MSG_NEWTABLE, NLM_F_CREATE)},
      {"delete table inet " + config.table, table_message(config, NFT_MSG_DELTABLE, 0)}};
  netfilter.commit(steps);
}

std::uint32_t current_generation(Netlink& netfilter) {
  const auto answer = netfilter.ask(nft_message(NFT_MSG_GETGEN, 0, [](nlmsghdr*) {}));
  if (answer.error != 0 || answer.messages.empty()) {
    base::throw_errno("ask for the nftables generation", answer.error);
  }
  return ntohl(
      AttributeList::of_message(answer.messages.front(), sizeof(nfgenmsg)).u32(NFTA_GEN_ID));
}

}  // namespace network

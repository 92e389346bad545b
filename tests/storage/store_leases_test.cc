#include <chrono>

#include <gtest/gtest.h>

#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::LeaseRequest;
using storage::Store;

std::string id_of(int number) {
  std::string text = std::to_string(number);
  return std::string(64 - text.size(), '0') + text;
}

class StoreLeases : public testing::Test {
 protected:
  StoreLeases() : store_(root_.store()) { add_image(store_, hex('a'), "alpine"); }

  std::uint32_t add(int number, const LeaseRequest& request) {
    const std::string id = id_of(number);
    return store_.add_container(make_container(id, "c" + id, hex('a')), request).value();
  }

  TempRoot root_;
  Store store_;
};

TEST_F(StoreLeases, AreGivenInTurnAndWrapAround) {
  const LeaseRequest request = lease_from(10, 13);
  EXPECT_EQ(add(1, request), 10U);
  EXPECT_EQ(add(2, request), 11U);
  store_.remove_container(id_of(1));
  EXPECT_EQ(add(3, request), 12U);  // not the one that was just given back
  EXPECT_EQ(add(4, request), 13U);
  EXPECT_EQ(add(5, request), 10U);
  EXPECT_EQ(error_of(base::ErrorKind::kUnavailable, [&] { add(6, request); }),
            "no available IPv4 addresses on this network's address pools: bridge");
  EXPECT_FALSE(store_.find_container(id_of(6)));  // all or nothing
  store_.remove_container(id_of(3));
  EXPECT_EQ(add(6, request), 12U);
}

TEST_F(StoreLeases, ReservedAddressesAreSkippedAndWantedOnesMayLieOutsideTheRange) {
  LeaseRequest request = lease_from(10, 13);
  request.reserved = {10, 12};
  request.lowest = 1;
  request.highest = 20;
  EXPECT_EQ(add(1, request), 11U);
  EXPECT_EQ(add(2, request), 13U);
  error_of(base::ErrorKind::kUnavailable, [&] { add(3, request); });
  request.wanted = 20;
  EXPECT_EQ(add(3, request), 20U);
  EXPECT_EQ(store_.lease_address(id_of(3), request), 20U);  // a second start keeps it
  request.wanted = 12;
  error_of(base::ErrorKind::kConflict, [&] { add(4, request); });
  request.wanted = 21;
  error_of(base::ErrorKind::kInvalid, [&] { add(4, request); });
}

TEST_F(StoreLeases, OfNetworksAreIndependent) {
  LeaseRequest other = lease_from(10, 13);
  other.network = "other";
  EXPECT_EQ(add(1, lease_from(10, 13)), 10U);
  EXPECT_EQ(add(2, other), 10U);
  EXPECT_EQ(store_.lease_address(id_of(1), other), 11U);
  const auto leases = store_.list_leases();
  ASSERT_EQ(leases.size(), 3U);
  EXPECT_EQ(leases[0].network, "bridge");
  EXPECT_EQ(leases[0].container, id_of(1));
  EXPECT_EQ(leases[0].address, 10U);
  store_.release_address(id_of(1), "other");
  EXPECT_EQ(store_.find_lease(id_of(1), "bridge"), 10U);
  EXPECT_EQ(store_.find_lease(id_of(1), "other"), std::nullopt);
  store_.remove_container(id_of(1));
  EXPECT_EQ(store_.list_leases().size(), 1U);
}

TEST_F(StoreLeases, AContainerKeepsItsAddress) {
  const LeaseRequest request = lease_from(10, 13);
  EXPECT_EQ(add(1, request), 10U);
  EXPECT_EQ(store_.lease_address(id_of(1), request), 10U);
  EXPECT_EQ(store_.lease_address(id_of(1), lease_from(20, 23)), 20U);  // the subnet has changed
  EXPECT_EQ(store_.list_leases().size(), 1U);
}

TEST_F(StoreLeases, AWantedAddress) {
  LeaseRequest request = lease_from(0x0a000002, 0x0a00fffe);
  request.wanted = 0x0a000102;
  EXPECT_EQ(add(1, request), 0x0a000102U);
  EXPECT_EQ(error_of(base::ErrorKind::kConflict, [&] { add(2, request); }),
            "Address already in use: 10.0.1.2");
  request.wanted = 0x0a010000;
  EXPECT_EQ(error_of(base::ErrorKind::kInvalid, [&] { add(2, request); }),
            "no configured subnet contains IP address 10.1.0.0");
  request.wanted.reset();
  EXPECT_EQ(add(2, request), 0x0a000002U);
}

TEST_F(StoreLeases, TheWholeRangeCanBeUsed) {
  const LeaseRequest request = lease_from(0xfffffffd, 0xffffffff);
  EXPECT_EQ(add(1, request), 0xfffffffdU);
  EXPECT_EQ(add(2, request), 0xfffffffeU);
  EXPECT_EQ(add(3, request), 0xffffffffU);
  EXPECT_THROW(add(4, request), base::Error);
  const LeaseRequest one = {.network = "one", .first = 7, .last = 7, .wanted = {}};
  EXPECT_EQ(add(4, one), 7U);
  EXPECT_THROW(add(5, one), base::Error);
  EXPECT_THROW(add(5, {.network = "none", .first = 8, .last = 7, .wanted = {}}), base::Error);
}

TEST_F(StoreLeases, TheLastFreeOfThousandsIsFoundQuickly) {
  const LeaseRequest request = lease_from(1, 4000);
  {
    storage::Transaction transaction(store_.database());
    for (int i = 1; i <= 4000; ++i) {
      if (i == 1999) continue;
      store_.database()
          .prepare("INSERT INTO leases VALUES('bridge',?,?)")
          .bind_all(i, id_of(i))
          .run();
    }
    transaction.commit();
  }
  const auto before = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(store_.lease_address("x", request), 1999U);
    store_.release_address("x", "bridge");
  }
  // 0.5 ms each where nothing else runs.
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
}

}  // namespace

"""A real Kafka for tests and benches: fetched from Maven Central once, run as KRaft nodes on loopback."""

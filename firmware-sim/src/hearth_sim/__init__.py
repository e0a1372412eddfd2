"""A recorded home behind simulated device firmware: physics, Modbus TCP servers, its history."""

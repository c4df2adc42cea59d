"""What board this is and how it stands."""

from tsm_edge.sensors import Sensors, read_sensors

__all__ = ["Sensors", "read_sensors"]

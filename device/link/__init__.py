"""The way to the control room: topics, the sender, one MQTT connection at a time."""

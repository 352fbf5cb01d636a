"""What is set up once: keys, gateways, the configuration file, wrappers, passes, the status line."""

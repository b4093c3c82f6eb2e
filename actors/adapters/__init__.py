"""Adapters: one file for each way to a provider, all behind `actors.adapters.adapter.Adapter`."""

# List all application versions
versions = client.list_application_versions()
for version in versions:
    print(f"Version: {version['version_name']}")
    print(f"Timestamp: {version['timestamp']}")
    print()
# Get latest version
latest = client.get_latest_application_version()
print(f"Current version: {latest['version_name']}")
# Promote a version to latest
client.set_latest_application_version("v1.2.3")

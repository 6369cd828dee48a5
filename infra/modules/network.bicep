// Optional: a virtual network that the app reaches both storage accounts through, which then are closed to the internet.
// Graph, Exchange and Application Insights are still reached over the internet, from the addresses of the platform.
// Operators, pipelines and administrators need a way in (VPN, ExpressRoute or peering) and must resolve the zones below;
// where an organisation has such zones already, it links its own network to these or moves the records to its own.
// The subscription must have the resource provider Microsoft.App registered: Flex Consumption joins the subnet by it.

@description('Azure region.')
param location string

@description('Tags of everything.')
param tags { *: string }

@description('Beginning of the endpoints\' names.')
param namePrefix string

@description('Name of the network.')
param name string

@description('Name of the app\'s subnet. No underscore: Flex Consumption does not take it.')
param appSubnetName string

@description('Address range of the network, /16 to /24.')
param addressPrefix string

@description('Storage account of the Functions host.')
param hostStorageName string

@description('Storage account of the data.')
param dataStorageName string

@description('Private endpoints: every service of the data account, and what the host uses of its own. No function is triggered by a blob, so the host has no queue.')
var endpoints = [
  { name: 'host-blob', account: hostStorageName, service: 'blob' }
  { name: 'host-table', account: hostStorageName, service: 'table' }
  { name: 'data-blob', account: dataStorageName, service: 'blob' }
  { name: 'data-queue', account: dataStorageName, service: 'queue' }
  { name: 'data-table', account: dataStorageName, service: 'table' }
]

@description('Services of storage, each with a DNS zone.')
var services = ['blob', 'queue', 'table']

resource network 'Microsoft.Network/virtualNetworks@2025-09-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: appSubnetName
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 0)
          delegations: [
            { name: 'flex-consumption', properties: { serviceName: 'Microsoft.App/environments' } }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 1)
          // Endpoints answer and never call.
          defaultOutboundAccess: false
        }
      }
    ]
  }

  resource endpointSubnet 'subnets' existing = {
    name: 'endpoints'
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for service in services: {
    name: 'privatelink.${service}.${environment().suffixes.storage}'
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (service, i) in services: {
    parent: zones[i]
    name: network.name
    location: 'global'
    tags: tags
    properties: {
      virtualNetwork: { id: network.id }
      registrationEnabled: false
    }
  }
]

// One after another: a storage account refuses a second endpoint while it still takes up the first.
@batchSize(1)
resource privateEndpoints 'Microsoft.Network/privateEndpoints@2025-09-01' = [
  for endpoint in endpoints: {
    name: '${namePrefix}-${endpoint.name}'
    location: location
    tags: tags
    properties: {
      subnet: { id: network::endpointSubnet.id }
      privateLinkServiceConnections: [
        {
          name: endpoint.name
          properties: {
            privateLinkServiceId: resourceId('Microsoft.Storage/storageAccounts', endpoint.account)
            groupIds: [endpoint.service]
          }
        }
      ]
    }
  }
]

resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-09-01' = [
  for (endpoint, i) in endpoints: {
    parent: privateEndpoints[i]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: endpoint.service
          properties: { privateDnsZoneId: zones[indexOf(services, endpoint.service)].id }
        }
      ]
    }
  }
]
